// MD5_Init and its kin are marked deprecated in OpenSSL 3, but EVP cannot export the state of an unfinished hash,
// which a resumed download needs.
#pragma once
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/evp.h>
#include <openssl/md5.h>
#include <openssl/sha.h>
