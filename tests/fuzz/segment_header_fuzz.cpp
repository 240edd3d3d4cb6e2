// Job headers and the other messages that arrive from peers: never a crash, and a header that was read can be
// written and read again.
#include <cstddef>
#include <cstdint>

#include <framegrid/crypto/hash.hpp>
#include <framegrid/wire/ai_messages.hpp>
#include <framegrid/wire/convert.hpp>
#include <framegrid/wire/early_renditions.hpp>
#include <framegrid/wire/grpc.hpp>
#include <framegrid/wire/segment_header.hpp>
#include <framegrid/wire/task_messages.hpp>
#include <framegrid/wire/task_result.hpp>

namespace {

using namespace framegrid;  // a program of one file

void read_header(std::string_view text) {
    const auto header = wire::decode_segment_header(text);
    if (!header) {
        return;
    }
    (void)wire::verify_segment(*header, crypto::Address{1});
    const auto again =
        wire::decode_segment_header(wire::encode_segment_header(header->job, header->hash, nullptr));
    FG_ASSERT(again.has_value());
    FG_ASSERT(again->job.manifest_id == header->job.manifest_id && again->job.seq == header->job.seq);
    FG_ASSERT(again->job.token == header->job.token && again->job.needs == header->job.needs);
    FG_ASSERT(again->hash == header->hash);
    const auto& before = std::get<api::TranscodeWork>(header->job.work.kind);
    const auto& after = std::get<api::TranscodeWork>(again->job.work.kind);
    FG_ASSERT(before.profiles == after.profiles && before.clip == after.clip);
    FG_ASSERT(before.duration_ms == after.duration_ms && before.early == after.early);
}

template <class Message>
void read_message(std::string_view bytes) {
    if (const auto message = wire::parse_message<Message>(bytes)) {
        (void)wire::from_proto(*message);
    }
}

template <class Message>
void read_notification(std::string_view bytes) {
    if (const auto message = wire::parse_message<Message>(bytes)) {
        (void)wire::read_task(*message);
    }
}

void read_uploads(const Blob& body) {
    const http::Headers headers{{"content-type", "multipart/mixed; boundary=b"}, {"pixels", "1"}};
    for (const auto kind : {api::WorkerKind::kTranscoder, api::WorkerKind::kAi}) {
        api::TaskReport report;
        report.kind = kind;
        (void)wire::read_result_body(headers, body, report);
    }
    wire::EarlyRenditionReader pieces;
    (void)pieces.read(body.text().substr(0, body.size() / 2));
    (void)pieces.read(body.text());
    (void)wire::read_ai_request("upscale", "multipart/form-data; boundary=b", body);
    (void)wire::read_ai_request("upscale", "application/json", body);
    (void)wire::read_ai_response(body.text());
    (void)wire::parse_data_url(body.text());
}

void read_frames(BytesView bytes) {
    wire::GrpcFrames frames(1024);
    for (std::size_t i = 0; i < bytes.size(); i += 7) {
        frames.feed(bytes.subspan(i, std::min<std::size_t>(7, bytes.size() - i)));
        for (auto message = frames.next(); message && *message; message = frames.next()) {
            FG_ASSERT((*message)->size() <= 1024);
        }
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const framegrid::BytesView bytes{data, size};
    const auto text = framegrid::as_text(bytes);
    read_header(text);
    read_header(framegrid::crypto::base64(bytes));
    (void)framegrid::wire::decode_payment_header(text);
    (void)framegrid::wire::decode_payment_header(framegrid::crypto::base64(bytes));
    read_message<net::OrchestratorInfo>(text);
    read_message<net::Capabilities>(text);
    read_notification<net::NotifySegment>(text);
    read_notification<net::NotifyAIJob>(text);
    read_uploads(framegrid::Blob::copy_of(bytes));
    read_frames(bytes);
    (void)framegrid::wire::parse_timeout(text);
    (void)framegrid::wire::percent_decode(text);
    return 0;
}
