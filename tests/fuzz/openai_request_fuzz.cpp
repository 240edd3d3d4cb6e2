// Requests of OpenAI's clients: a form or JSON, up to the job's document.
#include <framegrid/rest/openai_request.hpp>

using namespace framegrid;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto body = Blob::copy_of(BytesView(data, size));
    std::vector<rest::OpenAiFields> all;
    if (auto fields = rest::openai_fields(body.text())) {
        all.push_back(*std::move(fields));
    }
    if (auto parts = http::parse_multipart(body, "b")) {
        all.push_back(rest::openai_fields(*std::move(parts)));
    }
    for (const auto& fields : all) {
        (void)rest::read_image_request(fields, std::nullopt);
        (void)rest::read_image_request(fields, media::Size{64, 64});
        const auto video = rest::read_video_request(fields);
        FG_ASSERT(!video || job::parse_document(job::to_json(*video)));
    }
    return 0;
}
