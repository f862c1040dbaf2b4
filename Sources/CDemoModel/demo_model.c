#include "CDemoModel.h"

static const unsigned char checklist[] = {
#embed "model/checklist.chk"
};
static const unsigned char shard0[] = {
#embed "model/consolidated.00.pth"
};
static const unsigned char shard1[] = {
#embed "model/consolidated.01.pth"
};
static const unsigned char params[] = {
#embed "model/params.json"
};
static const unsigned char tokenizer[] = {
#embed "model/tokenizer.model"
};

static const demo_model_file files[] = {
    {"checklist.chk", checklist, sizeof checklist},
    {"consolidated.00.pth", shard0, sizeof shard0},
    {"consolidated.01.pth", shard1, sizeof shard1},
    {"params.json", params, sizeof params},
    {"tokenizer.model", tokenizer, sizeof tokenizer},
};
const size_t demo_model_file_count = sizeof files / sizeof files[0];

demo_model_file demo_model_file_at(size_t index) { return files[index]; }
