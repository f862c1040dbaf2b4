// The only C of our own: inner loops that need an instruction set chosen at run time. One header a subject.
#pragma once
#include "cpu.h"
#include "crc32.h"
#include "inference.h"
#include "md5_lanes.h"
#include "quantize.h"
#include "sha256_lanes.h"
#include "sha256_messages.h"
#include "sha256_pair.h"
