#include <framegrid/rest/rendition_parts.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include <framegrid/http/multipart.hpp>

namespace framegrid::rest {

namespace {

http::Part part_of(const RenditionPart& rendition) {
    const std::string file =
        fmt::format("{}_{}{}", rendition.name, rendition.seq, media::extension_of(rendition.container));
    http::Part part;
    part.headers.add("content-disposition", "attachment; filename=\"" + file + "\"");
    part.headers.add("content-length", std::to_string(rendition.bytes.size()));
    part.headers.add(
        "content-type", fmt::format("{}; name=\"{}\"", media::content_type_of(rendition.container), file)
    );
    part.headers.add("rendition-name", rendition.name);
    part.body = rendition.bytes;
    return part;
}

std::string content_type_of(const std::string& boundary) {
    return "multipart/mixed; boundary=" + boundary;
}

}  // namespace

Answer renditions_answer(const std::vector<RenditionPart>& parts, const std::string& boundary) {
    std::vector<http::Part> message;
    std::ranges::transform(parts, std::back_inserter(message), part_of);
    Answer answer;
    answer.headers.add("content-type", content_type_of(boundary));
    answer.body = http::format_multipart(message, boundary);
    return answer;
}

RenditionStream::RenditionStream(
    Call& call, std::vector<media::VideoProfile> profiles, std::int64_t seq, std::string boundary
)
    : call_(call),
      profiles_(std::move(profiles)),
      seq_(seq),
      boundary_(std::move(boundary)),
      ready_(profiles_.size()) {}

void RenditionStream::put(std::size_t index, Blob bytes) {
    ready_.at(index) = std::move(bytes);
    changed_.notify_all();
}

void RenditionStream::close() {
    closed_ = true;
    changed_.notify_all();
}

Task<Result<bool>> RenditionStream::send() {
    auto& response = call_.exchange.response;
    while (!closed_) {
        if (sent_ == ready_.size() || !ready_[sent_]) {
            co_await changed_.wait();
            continue;
        }
        if (!response.started()) {
            http::ResponseHead head;
            head.headers.add("content-type", content_type_of(boundary_));
            head.headers.add("trailer", "X-Framegrid-Attempts, X-Framegrid-Orchestrator");
            FG_CO_CHECK(co_await call_.start(std::move(head)));
        }
        const auto& profile = profiles_[sent_];
        const RenditionPart rendition{profile.name, seq_, profile.container, *ready_[sent_]};
        std::vector<Blob> pieces = http::format_part(part_of(rendition), boundary_, sent_ == 0);
        for (auto& piece : pieces) {
            call_.bytes_out += piece.size();
            FG_CO_CHECK(co_await response.write(std::move(piece)));
        }
        ++sent_;
    }
    co_return true;
}

Answer RenditionStream::rest(const std::vector<RenditionPart>& parts) const {
    if (sent_ == 0) {
        return renditions_answer(parts, boundary_);
    }
    Answer answer;
    for (std::size_t i = sent_; i < parts.size(); ++i) {
        std::ranges::move(
            http::format_part(part_of(parts[i]), boundary_, false), std::back_inserter(answer.body)
        );
    }
    answer.body.push_back(http::format_multipart_end(boundary_, false));
    return answer;
}

}  // namespace framegrid::rest
