// Workflow documents from clients: never a crash or a hang, and what is accepted has an order and types.
#include <cstddef>
#include <cstdint>

#include <framegrid/base/bytes.hpp>
#include <framegrid/workflow/document.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto reading = framegrid::workflow::read(framegrid::as_text({data, size}));
    if (reading.workflow == nullptr) {
        FG_ASSERT(!reading.problems.empty());
        FG_ASSERT(framegrid::workflow::to_error(reading.problems).code == framegrid::Errc::kInvalidArgument);
        return 0;
    }
    const auto& workflow = *reading.workflow;
    FG_ASSERT(workflow.order.size() == workflow.steps.size());
    for (const auto& step : workflow.steps) {
        FG_ASSERT(step.action != nullptr && step.gives.has_value());
    }
    for (const auto& output : workflow.outputs) {
        FG_ASSERT(output.type.has_value());
    }
    return 0;
}
