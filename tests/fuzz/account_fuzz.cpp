// API keys, tokens, key sets, limits and scopes as strangers write them: never a crash, and nothing is
// accepted that was not signed.
#include <cstddef>
#include <cstdint>

#include <framegrid/account/jwt.hpp>
#include <framegrid/account/key_ring.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace framegrid;
    const std::string_view text = as_text(BytesView{data, size});
    static const auto keys =
        account::TokenKeys::parse(R"({"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k",)"
                                  R"("x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]})");
    const account::TokenRules rules{.issuer = "i", .audience = "a"};
    FG_ASSERT(!account::verify_token(text, *keys, rules, 0));
    // The same with a header that leads to the signature.
    const std::string token = "eyJhbGciOiJFZERTQSIsImtpZCI6ImsifQ." + std::string(text);
    FG_ASSERT(!account::verify_token(token, *keys, rules, 0));
    if (const auto set = account::TokenKeys::parse(text)) {
        FG_ASSERT(set->size() > 0);
        (void)account::verify_token(token, *set, rules, 0);
    }
    if (const auto shown = account::parse_key(text)) {
        FG_ASSERT(text.substr(3, 16) == shown->id);
        FG_ASSERT(!account::KeyRing().find(text, 0));
    }
    if (const auto limits = account::parse_limits(text)) {
        const auto again = account::parse_limits(account::limits_json(*limits));
        FG_ASSERT(again && account::limits_json(*again) == account::limits_json(*limits));
    }
    if (const auto scopes = account::parse_scopes(text)) {
        FG_ASSERT(account::parse_scopes(scopes->text()) == *scopes);
        FG_ASSERT(account::known_scopes(text) == *scopes);
    }
    (void)account::check_owner(text);
    return 0;
}
