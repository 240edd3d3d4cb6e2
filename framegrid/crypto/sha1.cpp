#include <framegrid/crypto/sha1.hpp>

#include <openssl/evp.h>

#include <framegrid/base/result.hpp>

namespace framegrid::crypto {

Bytes sha1(BytesView data) {
    constexpr std::size_t kBytes = 20;
    Bytes out(kBytes);
    unsigned int size = 0;
    const int ok = EVP_Digest(data.data(), data.size(), out.data(), &size, EVP_sha1(), nullptr);
    FG_ASSERT(ok == 1 && size == out.size());
    return out;
}

}  // namespace framegrid::crypto
