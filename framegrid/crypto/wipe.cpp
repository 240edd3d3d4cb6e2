#include <framegrid/crypto/wipe.hpp>

#include <openssl/crypto.h>

namespace framegrid::crypto {

void wipe(std::string& secret) {
    OPENSSL_cleanse(secret.data(), secret.size());
    secret.clear();
}

void wipe(Bytes& secret) {
    OPENSSL_cleanse(secret.data(), secret.size());
    secret.clear();
}

}  // namespace framegrid::crypto
