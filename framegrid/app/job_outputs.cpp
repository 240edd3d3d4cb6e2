#include <framegrid/app/job_outputs.hpp>

#include <algorithm>
#include <cstdio>
#include <map>

#include <fmt/format.h>

#include <framegrid/app/json_lookup.hpp>
#include <framegrid/job/artifact_record.hpp>
#include <framegrid/media/file_types.hpp>

namespace framegrid::app {

namespace {

namespace json = boost::json;

constexpr std::size_t kFolderListBytesMax = std::size_t{4} << 20;

// A path of the gateway's word: below the folder, or nowhere.
bool is_inside(const std::string& path) {
    const host::Path parts(path);
    return !path.empty() && parts.is_relative() &&
           std::ranges::none_of(parts, [](const host::Path& part) { return part == ".."; });
}

Task<Result<bool>> fetch_folder(JobsClient& client, std::string artifact, host::Path to, Deadline deadline) {
    FG_CO_CHECK(host::make_dirs(to, 0755));
    const auto list = to / "folder.json";
    FG_CO_CHECK(co_await client.download(std::move(artifact), list, deadline));
    FG_CO_TRY(text, host::read_file(list, kFolderListBytesMax));
    std::error_code ignored;
    std::filesystem::remove(list, ignored);
    boost::system::error_code error;
    const auto root = json::parse(as_text(text), error);
    const auto files = objects_of(root.is_object() ? root.get_object() : json::object{}, "files");
    for (const auto& file : files) {
        const auto path = text_of(file, "path");
        if (!is_inside(path)) {
            co_return fail(Errc::kProtocol, "the gateway names a file outside of the folder");
        }
        FG_CO_CHECK(host::make_dirs((to / path).parent_path(), 0755));
        FG_CO_CHECK(co_await client.download(text_of(file, "artifact"), to / path, deadline));
    }
    co_return true;
}

}  // namespace

Result<void> check_succeeded(const json::object& job) {
    if (text_of(job, "state") == "succeeded") {
        return {};
    }
    const auto why = object_of(job, "error");
    const auto message = text_of(why, "message");
    return fail(
        Errc::kUnavailable,
        "job " + text_of(job, "id") + " " + text_of(job, "state") + (message.empty() ? "" : ": " + message),
        text_of(why, "field")
    );
}

void print_steps(const json::object& run) {
    const auto steps = objects_of(run, "steps");
    if (steps.empty()) {
        return;
    }
    std::printf("%-20s %8s %8s %8s %16s\n", "step", "done", "cached", "skipped", "wei");
    for (const auto& step : steps) {
        std::printf(
            "%-20s %8lld %8lld %8lld %16s\n", text_of(step, "step").c_str(),
            static_cast<long long>(number_of(step, "done")),
            static_cast<long long>(number_of(step, "cached")),
            static_cast<long long>(number_of(step, "skipped")), text_of(step, "wei").c_str()
        );
    }
}

Task<Result<std::vector<std::string>>> fetch_outputs(
    JobsClient& client, json::object job, host::Path directory, Deadline deadline
) {
    FG_CO_CHECK(host::make_dirs(directory, 0755));
    const auto outputs = objects_of(job, "outputs");
    const auto name_of = [&job](const json::object& output) {
        auto name = text_of(output, "output");
        return name.empty() ? text_of(job, "pipeline") : name;
    };
    std::map<std::string, std::int64_t> counts;
    for (const auto& output : outputs) {
        ++counts[name_of(output)];
    }
    std::map<std::string, std::int64_t> seen;
    std::vector<std::string> out;
    for (const auto& output : outputs) {
        std::string name = name_of(output);
        if (!is_inside(name) || host::Path(name).has_parent_path()) {
            co_return fail(Errc::kProtocol, "the gateway names an output that is no file name");
        }
        const auto number = output.contains("index") ? number_of(output, "index") + 1 : ++seen[name];
        if (counts[name] > 1) {
            name += fmt::format("-{:03}", number);
        }
        const auto type = text_of(output, "content_type");
        const bool folder = type == job::kFolderType;
        const auto path = directory / (folder ? name : name + std::string(media::extension_of(type)));
        if (folder) {
            FG_CO_CHECK(co_await fetch_folder(client, text_of(output, "artifact"), path, deadline));
        } else {
            FG_CO_CHECK(co_await client.download(text_of(output, "artifact"), path, deadline));
        }
        out.push_back(path.string());
    }
    co_return out;
}

}  // namespace framegrid::app
