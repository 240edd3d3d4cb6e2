#include <framegrid/gateway/workflow_inputs.hpp>

#include <boost/json.hpp>

namespace framegrid::gateway {

namespace {

namespace json = boost::json;

// One input's file or files, or its plain value.
class Reader {
  public:
    Reader(const InputLoader& loader, const StepRunner& runner, StepOwner owner, Deadline deadline)
        : loader_(loader), runner_(runner), owner_(std::move(owner)), deadline_(deadline) {}

    Task<Result<bool>> add(const workflow::Workflow& workflow, std::string name, const json::value& given);
    WorkflowInputs take() { return std::move(out_); }

  private:
    Task<Result<workflow::Artifact>> file(std::string name, std::string text);
    Task<Result<workflow::Value>> files(std::string name, const json::array& given);

    const InputLoader& loader_;
    const StepRunner& runner_;
    StepOwner owner_;
    Deadline deadline_;
    WorkflowInputs out_;
};

workflow::Value plain_value(const json::value& given) {
    if (given.is_bool()) {
        return given.get_bool();
    }
    if (given.is_string()) {
        return std::string(given.get_string());
    }
    if (given.is_double()) {
        return given.get_double();
    }
    const auto whole = given.try_to_number<std::int64_t>();
    return whole ? workflow::Value(*whole) : workflow::Value();
}

Task<Result<workflow::Artifact>> Reader::file(std::string name, std::string text) {
    auto bytes = co_await loader_.load(owner_.owner, name, std::move(text), deadline_);
    if (!bytes) {
        co_return fail(std::move(bytes.error()));
    }
    auto kept = co_await runner_.keep_media(owner_, name, std::move(*bytes), deadline_);
    if (!kept) {
        kept.error().field = "inputs." + name;
        co_return fail(std::move(kept.error()));
    }
    out_.files.push_back(*kept);
    co_return std::move(kept->about);
}

Task<Result<workflow::Value>> Reader::files(std::string name, const json::array& given) {
    std::vector<workflow::Artifact> out;
    for (const auto& text : given) {
        auto one = co_await file(name, std::string(text.as_string()));
        if (!one) {
            co_return fail(std::move(one.error()));
        }
        out.push_back(std::move(*one));
    }
    co_return workflow::Value(std::move(out));
}

Task<Result<bool>> Reader::add(
    const workflow::Workflow& workflow, std::string name, const json::value& given
) {
    const auto* input = workflow.find_input(name);
    const bool media = input != nullptr && workflow::is_media(input->type.kind);
    workflow::Value value;
    if (media && given.is_array()) {
        auto read = co_await files(name, given.get_array());
        if (!read) {
            co_return fail(std::move(read.error()));
        }
        value = std::move(*read);
    } else if (media && given.is_string()) {
        auto read = co_await file(name, std::string(given.get_string()));
        if (!read) {
            co_return fail(std::move(read.error()));
        }
        value = input->type.list ? workflow::Value(std::vector{std::move(*read)})
                                 : workflow::Value(std::move(*read));
    } else {
        value = plain_value(given);
    }
    out_.values.emplace(std::move(name), std::move(value));
    co_return true;
}

}  // namespace

Task<Result<WorkflowInputs>> read_inputs(
    const InputLoader& loader, const StepRunner& runner, const workflow::Workflow& workflow, StepOwner owner,
    std::string values, Deadline deadline
) {
    const auto given = json::parse(values);
    Reader reader(loader, runner, std::move(owner), deadline);
    for (const auto& [name, value] : given.as_object()) {
        const auto added = co_await reader.add(workflow, std::string(name), value);
        if (!added) {
            co_return fail(added.error());
        }
    }
    co_return reader.take();
}

}  // namespace framegrid::gateway
