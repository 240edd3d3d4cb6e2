#include <framegrid/app/keys.hpp>

#include <cstdlib>

#include <framegrid/crypto/wipe.hpp>
#include <framegrid/host/files.hpp>

namespace framegrid::app {

namespace {

constexpr std::size_t kKeyBytesMax = 64 * 1024;
constexpr unsigned kOwnerOnly = 0600;

Result<std::string> password(const std::string& password_file) {
    if (!password_file.empty()) {
        return read_secret_file(password_file);
    }
    if (const char* value = std::getenv("FRAMEGRID_KEY_PASSWORD")) {
        return std::string(value);
    }
    return fail(
        Errc::kInvalidArgument, "a key file needs a password: set FRAMEGRID_KEY_PASSWORD or name a file",
        "password-file"
    );
}

}  // namespace

Result<std::string> read_secret_file(const std::string& file) {
    FG_TRY(content, host::read_file(file, kKeyBytesMax));
    std::string text(as_text(content));
    crypto::wipe(content);
    text.resize(std::min(text.find_first_of("\r\n"), text.size()));
    if (text.empty()) {
        return fail(Errc::kInvalidArgument, file + " has an empty first line: it must hold the secret");
    }
    return text;
}

Result<crypto::PrivateKey> load_key(const std::string& file, const std::string& password_file) {
    FG_TRY(secret, password(password_file));
    FG_TRY(content, host::read_file(file, kKeyBytesMax));
    auto key = crypto::read_keystore(as_text(content), secret);
    crypto::wipe(secret);
    if (!key) {
        return fail(std::move(key.error()).with_context(file));
    }
    return key;
}

Result<void> create_key(const std::string& file, const std::string& password_file, Random& random) {
    if (std::filesystem::exists(file)) {
        return fail(Errc::kInvalidArgument, file + " exists; choose another name or move it away first");
    }
    FG_TRY(secret, password(password_file));
    const auto key = crypto::PrivateKey::generate(random);
    FG_TRY(json, crypto::write_keystore(key, secret, random));
    return host::write_file_atomic(file, as_bytes(json), host::Durability::kSynced, kOwnerOnly);
}

}  // namespace framegrid::app
