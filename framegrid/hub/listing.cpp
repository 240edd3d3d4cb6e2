#include <framegrid/hub/listing.hpp>

#include <algorithm>

#include <boost/json.hpp>

#include <framegrid/base/log.hpp>
#include <framegrid/engine/hub_layout.hpp>

namespace framegrid::hub {

namespace {

namespace json = boost::json;

constexpr std::size_t kFilesMax = 10'000;

std::string text_of(const json::object& object, std::string_view name) {
    const auto* value = object.if_contains(name);
    return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

std::int64_t number_of(const json::object& object, std::string_view name) {
    const auto* value = object.if_contains(name);
    return value != nullptr && value->is_int64() ? value->get_int64() : 0;
}

bool is_hex(std::string_view text, std::size_t size) {
    return text.size() == size && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

std::unexpected<Error> odd(std::string_view what) {
    return fail(Errc::kProtocol, "the hub's answer about the repository " + std::string(what));
}

Result<ListedFile> read_file(const json::value& value) {
    if (!value.is_object()) {
        return odd("lists something that is no file");
    }
    const auto& object = value.get_object();
    ListedFile file;
    file.path = text_of(object, "rfilename");
    file.bytes = number_of(object, "size");
    file.git_id = text_of(object, "blobId");
    if (const auto* lfs = object.if_contains("lfs"); lfs != nullptr && lfs->is_object()) {
        file.sha256 = text_of(lfs->get_object(), "sha256");
        file.bytes = number_of(lfs->get_object(), "size");
        file.git_id.clear();  // of the pointer, not of the file
    }
    if (file.path.empty() || file.bytes < 0 || (!file.sha256.empty() && !is_hex(file.sha256, 64)) ||
        (!file.git_id.empty() && !is_hex(file.git_id, 40))) {
        return odd("has a damaged entry");
    }
    return file;
}

}  // namespace

Result<Listing> parse_listing(std::string_view text) {
    boost::system::error_code error;
    const auto root = json::parse(text.substr(0, kListingBytesMax + 1), error);
    if (error || !root.is_object() || text.size() > kListingBytesMax) {
        return odd("is not JSON");
    }
    Listing listing;
    listing.revision = text_of(root.get_object(), "sha");
    const auto* files = root.get_object().if_contains("siblings");
    if (files == nullptr || !files->is_array() || files->get_array().size() > kFilesMax) {
        return odd("has no list of files");
    }
    for (const auto& entry : files->get_array()) {
        FG_TRY(file, read_file(entry));
        if (engine::is_plain_path(file.path)) {
            listing.files.push_back(std::move(file));
        }
    }
    return listing;
}

Result<std::vector<ListedFile>> choose_files(const Listing& listing) {
    std::vector<ListedFile> chosen;
    const bool is_export =
        std::ranges::find(listing.files, "model_index.json", &ListedFile::path) != listing.files.end();
    if (is_export) {
        std::ranges::copy_if(listing.files, std::back_inserter(chosen), [](const ListedFile& file) {
            return engine::is_pipeline_file(file.path);
        });
    } else {
        std::vector<std::string> paths;
        std::ranges::transform(listing.files, std::back_inserter(paths), &ListedFile::path);
        auto network = engine::choose_network(paths);
        if (!network && network.error().code != Errc::kNotFound) {
            return fail(std::move(network.error()));
        }
        std::ranges::copy_if(listing.files, std::back_inserter(chosen), [&](const ListedFile& file) {
            return network && engine::is_beside(*network, file.path);
        });
    }
    const auto has_network =
        std::ranges::any_of(chosen, [](const ListedFile& file) { return file.path.ends_with(".onnx"); });
    if (!has_network) {
        return fail(
            Errc::kUnsupported,
            "the repository holds no ONNX networks: a diffusers export (model_index.json, unet/model.onnx "
            "...) or one "
            ".onnx file is needed"
        );
    }
    return chosen;
}

}  // namespace framegrid::hub
