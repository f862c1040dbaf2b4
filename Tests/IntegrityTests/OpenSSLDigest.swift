import COpenSSL
import Integrity

/// MD5 by OpenSSL's own interface, which has none of our code in it. It stands in a file of its own because OpenSSL has functions of our types' names.
func openSSLMD5(_ bytes: [UInt8]) -> Digest {
  Digest(.md5, bytes: [UInt8](unsafeUninitializedCapacity: 16) { digest, count in
    count = EVP_Digest(bytes, bytes.count, digest.baseAddress, nil, EVP_md5(), nil) == 1 ? 16 : 0
  })
}
