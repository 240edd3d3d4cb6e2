#include <framegrid/gateway/input_loader.hpp>

#include <framegrid/crypto/hash.hpp>

namespace framegrid::gateway {

namespace {

std::unexpected<Error> bad_input(Errc code, std::string message, const std::string& name) {
    return fail(code, std::move(message), "inputs." + name);
}

Result<Blob> read_data_url(std::string_view text, const std::string& name) {
    auto bytes = crypto::parse_base64(text.substr(text.find(',') + 1));
    if (!bytes) {
        return bad_input(Errc::kInvalidArgument, "the data URL's base64 is damaged", name);
    }
    return Blob(std::move(*bytes));
}

}  // namespace

Task<Result<Blob>> InputLoader::object(std::string digest, Deadline deadline) const {
    co_return co_await api::get_object(
        ports_.objects, std::move(digest), settings_.input_bytes_max,
        deadline.at_most(ports_.clock, settings_.store_time_max)
    );
}

Task<Result<Blob>> InputLoader::load(std::string owner, std::string name, std::string text, Deadline deadline)
    const {
    const auto kind = job::input_kind(text);
    if (kind == job::InputKind::kData) {
        co_return read_data_url(text, name);
    }
    if (kind == job::InputKind::kUrl) {
        auto fetched = co_await ports_.fetcher.fetch(text, settings_.input_bytes_max, deadline);
        if (!fetched) {
            const auto code = fetched.error().code;
            const bool away = code == Errc::kUnavailable || code == Errc::kCapacity;
            co_return bad_input(away ? Errc::kUnprocessable : code, fetched.error().message, name);
        }
        co_return fetched;
    }
    auto record = co_await find(std::move(owner), std::move(name), std::move(text));
    if (!record) {
        co_return fail(std::move(record.error()));
    }
    co_return co_await object(record->digest, deadline);
}

Task<Result<job::ArtifactRecord>> InputLoader::find(std::string owner, std::string name, std::string id)
    const {
    auto record = co_await ports_.artifacts.find(std::move(id));
    if (record && record->owner != owner) {
        co_return bad_input(Errc::kNotFound, "there is no such file", name);
    }
    if (!record) {
        record.error().field = "inputs." + name;
    }
    co_return record;
}

Task<Result<std::shared_ptr<ObjectTransfer>>> InputLoader::transfer(
    std::string owner, std::string name, std::string text, std::uint64_t bytes_max
) const {
    if (job::input_kind(text) != job::InputKind::kArtifact) {
        co_return nullptr;
    }
    auto record = co_await find(std::move(owner), name, std::move(text));
    if (!record) {
        co_return fail(std::move(record.error()));
    }
    if (record->bytes <= api::kTransferBytesMin) {
        co_return nullptr;
    }
    if (record->bytes > bytes_max) {
        co_return bad_input(
            Errc::kTooLarge, "the file is larger than " + std::to_string(bytes_max) + " bytes", name
        );
    }
    co_return std::make_shared<ObjectTransfer>(
        ports_.objects, ports_.clock, settings_.store_time_max, api::ObjectInfo{record->digest, record->bytes}
    );
}

}  // namespace framegrid::gateway
