#include <framegrid/wire/early_renditions.hpp>

#include <google/protobuf/io/coded_stream.h>

#include <framegrid/wire/livepeer.pb.h>

namespace framegrid::wire {

namespace {

constexpr std::uint32_t kBytesField = 2;  // protobuf's wire type of messages
constexpr std::uint32_t kEarlyTag = net::TranscodeResult::kEarlyFieldNumber << 3U | kBytesField;

}  // namespace

std::string write_early_rendition(const EarlyRendition& rendition) {
    net::TranscodeResult piece;
    auto& early = *piece.add_early();
    early.set_index(static_cast<std::uint32_t>(rendition.index));
    early.mutable_segment()->set_url(rendition.url);
    early.mutable_segment()->set_pixels(rendition.pixels.value);
    return piece.SerializeAsString();
}

std::vector<EarlyRendition> EarlyRenditionReader::read(std::string_view answer) {
    std::vector<EarlyRendition> found;
    while (!ended_ && used_ < answer.size()) {
        const std::string_view rest = answer.substr(used_);
        google::protobuf::io::CodedInputStream in(
            reinterpret_cast<const std::uint8_t*>(rest.data()), static_cast<int>(rest.size())
        );
        const std::uint32_t tag = in.ReadTag();
        std::uint32_t size = 0;
        if (tag != kEarlyTag) {
            ended_ = rest.size() >= sizeof(std::uint16_t);  // less may be half a tag
            break;
        }
        if (!in.ReadVarint32(&size)) {
            break;
        }
        const auto start = static_cast<std::size_t>(in.CurrentPosition());
        if (size > rest.size() - start) {
            break;
        }
        net::EarlyRendition message;
        if (!message.ParseFromArray(rest.data() + start, static_cast<int>(size)) ||
            message.segment().pixels() < 0) {
            ended_ = true;
            break;
        }
        found.push_back({message.index(), message.segment().url(), Pixels{message.segment().pixels()}});
        used_ += start + size;
    }
    return found;
}

}  // namespace framegrid::wire
