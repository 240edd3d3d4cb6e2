// Public keys that sign tokens: JSON Web Keys (RFC 7517, 7518, 8037).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <framegrid/base/bytes.hpp>
#include <framegrid/base/result.hpp>

namespace framegrid::account {

enum class TokenAlgorithm : std::uint8_t { kRs256, kEs256, kEdDsa };
std::string_view to_string(TokenAlgorithm algorithm);

// One key, for the one algorithm that its type has here: nobody can make it verify as another.
class TokenKey {
  public:
    // kUnsupported: a key for something else (encryption, another curve, a short RSA modulus).
    // kInvalidArgument: broken.
    static Result<TokenKey> parse(std::string_view jwk);

    const std::string& id() const { return id_; }  // "kid"; may be empty
    TokenAlgorithm algorithm() const { return algorithm_; }
    bool verify(BytesView signed_bytes, BytesView signature) const;

  private:
    struct Free {
        void operator()(void* key) const;
    };
    TokenKey() = default;
    std::string id_;
    TokenAlgorithm algorithm_ = TokenAlgorithm::kRs256;
    std::shared_ptr<void> key_;
};

// The keys of an issuer at one moment.
class TokenKeys {
  public:
    // {"keys":[...]}; those for something else are left out. kInvalidArgument when none is left.
    static Result<TokenKeys> parse(std::string_view jwks);

    // The key of that id; without an id the only one. nullptr: there is none.
    const TokenKey* find(std::string_view id) const;
    std::size_t size() const { return keys_.size(); }

  private:
    std::vector<TokenKey> keys_;
};

// Without padding (RFC 7515). kInvalidArgument on other characters.
Result<Bytes> parse_base64url(std::string_view text);

}  // namespace framegrid::account
