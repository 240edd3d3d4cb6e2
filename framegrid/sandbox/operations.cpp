#include <framegrid/sandbox/operations.hpp>

#include <algorithm>

#include <boost/json.hpp>

namespace framegrid::sandbox {

namespace {

namespace json = boost::json;

constexpr std::size_t kNameBytesMax = 256;

// All files in one piece of memory.
template <class Files>
Blob concatenate(const Files& files) {
    if (files.size() == 1) {
        return files.front().bytes;
    }
    std::size_t bytes = 0;
    for (const auto& file : files) {
        bytes += file.bytes.size();
    }
    Bytes out;
    out.reserve(bytes);
    for (const auto& file : files) {
        out.insert(out.end(), file.bytes.view().begin(), file.bytes.view().end());
    }
    return Blob(std::move(out));
}

// The members of one file of a list, and its bytes.
class FileReader {
  public:
    FileReader(const json::value& list, Blob all) : all_(std::move(all)) {
        const auto* files = list.is_object() ? list.get_object().if_contains("files") : nullptr;
        good_ = files != nullptr && files->is_array() && files->get_array().size() <= kOperationFilesMax;
        if (good_) {
            files_ = files->get_array();
        }
    }
    // False at the end, or when something is wrong.
    bool next() {
        good_ = good_ && (at_ == files_.size() ? offset_ == all_.size() : files_[at_].is_object());
        if (!good_ || at_ == files_.size()) {
            return false;
        }
        file_ = &files_[at_++].get_object();
        return true;
    }
    std::string text(std::string_view name) {
        const auto* value = file_->if_contains(name);
        if (value == nullptr || !value->is_string() || value->get_string().size() > kNameBytesMax) {
            good_ = false;
            return {};
        }
        return std::string(value->get_string());
    }
    Blob bytes() {
        const auto* value = file_->if_contains("bytes");
        const auto count = value == nullptr ? boost::system::result<std::uint64_t>(0)
                                            : value->try_to_number<std::uint64_t>();
        if (value == nullptr || !count || *count > all_.size() - offset_) {
            good_ = false;
            return {};
        }
        Blob out = all_.slice(offset_, *count);
        offset_ += *count;
        return out;
    }
    bool good() const { return good_; }

  private:
    Blob all_;
    json::array files_;
    const json::object* file_ = nullptr;
    std::size_t at_ = 0;
    std::size_t offset_ = 0;
    bool good_ = false;
};

std::unexpected<Error> too_many() {
    return fail(Errc::kTooLarge, "over " + std::to_string(kOperationFilesMax) + " files");
}

// A path below a folder: it may become one of a client's.
bool is_inside(std::string_view name) {
    while (!name.empty()) {
        const auto part = name.substr(0, name.find('/'));
        if (part.empty() || part == "." || part == "..") {
            return false;
        }
        name.remove_prefix(std::min(part.size() + 1, name.size()));
    }
    return true;
}

json::value parse_or_null(std::string_view text) {
    boost::system::error_code error;
    auto out = json::parse(text, error);
    return error ? json::value() : out;
}

}  // namespace

Result<api::Work> operation_work(api::MediaOperation operation) {
    if (operation.files.size() > kOperationFilesMax) {
        return too_many();
    }
    json::array files;
    for (const auto& file : operation.files) {
        files.push_back(json::object{{"slot", file.slot}, {"bytes", file.bytes.size()}});
    }
    const auto parameters = parse_or_null(operation.parameters);
    if (!parameters.is_object()) {
        return fail(Errc::kInvalidArgument, "an operation's parameters are a JSON object", "parameters");
    }
    api::Work work;
    work.kind = api::AiWork{
        std::string(kOperationPipeline), std::move(operation.name),
        json::serialize(json::object{
            {"parameters", parameters}, {"files", std::move(files)}, {"overlap", operation.overlap}
        })
    };
    work.input = concatenate(operation.files);
    return work;
}

bool is_operation(const api::Work& work) {
    const auto* ai = std::get_if<api::AiWork>(&work.kind);
    return ai != nullptr && ai->pipeline == kOperationPipeline;
}

Result<api::MediaOperation> parse_operation(const api::Work& work) {
    const auto& ai = std::get<api::AiWork>(work.kind);
    const auto root = parse_or_null(ai.parameters);
    const auto* parameters = root.is_object() ? root.get_object().if_contains("parameters") : nullptr;
    api::MediaOperation out;
    out.name = ai.model_id;
    FileReader files(root, work.input);
    while (files.next()) {
        std::string slot = files.text("slot");
        out.files.push_back({std::move(slot), files.bytes()});
    }
    if (!files.good() || parameters == nullptr || !parameters->is_object()) {
        return fail(Errc::kInvalidArgument, "not an operation");
    }
    out.parameters = json::serialize(*parameters);
    const auto* overlap = root.get_object().if_contains("overlap");
    out.overlap = overlap != nullptr && overlap->is_bool() && overlap->get_bool();
    return out;
}

Result<api::WorkOutput> operation_output(const std::vector<api::Artifact>& files) {
    if (files.size() > kOperationFilesMax) {
        return too_many();
    }
    json::array list;
    for (const auto& file : files) {
        list.push_back(json::object{
            {"name", file.name}, {"content_type", file.content_type}, {"bytes", file.bytes.size()}
        });
    }
    const std::string text = json::serialize(json::object{{"files", std::move(list)}});
    api::WorkOutput output;
    output.artifacts.push_back({"list", "application/json", Blob::copy_of(text), {}, {}});
    output.artifacts.push_back({"files", "application/octet-stream", concatenate(files), {}, {}});
    return output;
}

Result<std::vector<api::Artifact>> parse_operation_output(const api::WorkOutput& output) {
    if (output.artifacts.size() != 2) {
        return fail(Errc::kProtocol, "the answer to an operation is not a list and files");
    }
    std::vector<api::Artifact> out;
    FileReader files(parse_or_null(output.artifacts[0].bytes.text()), output.artifacts[1].bytes);
    while (files.next()) {
        api::Artifact file;
        file.name = files.text("name");
        file.content_type = files.text("content_type");
        file.bytes = files.bytes();
        if (!is_inside(file.name)) {
            return fail(Errc::kProtocol, "the answer to an operation names a file outside of its folder");
        }
        out.push_back(std::move(file));
    }
    if (!files.good() || out.empty()) {
        return fail(Errc::kProtocol, "the answer to an operation is damaged");
    }
    return out;
}

Task<Result<std::vector<api::Artifact>>> ExecutorOperations::run(
    api::MediaOperation operation, Deadline deadline
) {
    auto pack = [&operation] { return operation_work(std::move(operation)); };
    auto work = co_await offload(pool_, std::move(pack));
    if (!work) {
        co_return fail(std::move(work.error()));
    }
    auto output = co_await executors_.run(std::move(*work), deadline, {});
    if (!output) {
        co_return fail(std::move(output.error()));
    }
    auto files = parse_operation_output(*output);
    if (!files) {
        // Not the peer whose file it is, but this one process has failed.
        auto error = make_error(Errc::kUnavailable, std::move(files.error().message));
        co_return fail(std::move(error).with_disposition(Disposition::kRetry));
    }
    co_return files;
}

}  // namespace framegrid::sandbox
