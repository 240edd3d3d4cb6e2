// Untrusted multipart messages: the first line is the content type, the rest the message.
#include <framegrid/http/multipart.hpp>

using namespace framegrid;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text = as_text({data, size});
    const std::size_t line = std::min(text.find('\n'), text.size());
    const auto boundary = http::boundary_of(text.substr(0, line));
    const Blob message = Blob::copy_of(text.substr(std::min(line + 1, text.size())));
    const http::MultipartLimits limits{.parts_max = 20, .header_bytes_max = 500};
    const auto parts = http::parse_multipart(message, boundary ? *boundary : "b", limits);
    if (!parts) {
        return 0;
    }
    FG_ASSERT(parts->size() <= limits.parts_max);
    for (const auto& part : *parts) {
        FG_ASSERT(
            part.body.empty() || (part.body.data() >= message.data() &&
                                  part.body.data() + part.body.size() <= message.data() + message.size())
        );
    }
    // What was understood is written in a form that is understood the same way.
    const std::string fresh = "fuzz-boundary-that-does-not-occur";
    if (message.text().find(fresh) != std::string_view::npos) {
        return 0;
    }
    const auto again = http::parse_multipart(http::join(http::format_multipart(*parts, fresh)), fresh);
    FG_ASSERT(again && again->size() == parts->size());
    for (std::size_t i = 0; i < parts->size(); ++i) {
        FG_ASSERT(std::ranges::equal((*again)[i].body.view(), (*parts)[i].body.view()));
        FG_ASSERT((*again)[i].name == (*parts)[i].name);
    }
    return 0;
}
