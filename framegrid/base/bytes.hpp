// Bytes that are owned (Bytes), looked at (BytesView) and shared without copying (Blob).
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace framegrid {

using Bytes = std::vector<std::uint8_t>;
using BytesView = std::span<const std::uint8_t>;

inline BytesView as_bytes(std::string_view text) {
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
inline std::string_view as_text(BytesView bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
inline Bytes to_bytes(std::string_view text) {
    const auto view = as_bytes(text);
    return {view.begin(), view.end()};
}

// Immutable bytes with shared ownership, and a window on them. Copying a Blob never copies media.
class Blob {
  public:
    Blob() = default;
    explicit Blob(Bytes bytes)
        : owner_(std::make_shared<const Bytes>(std::move(bytes))),
          view_(*static_cast<const Bytes*>(owner_.get())) {}
    // Shares memory that something else owns (a mapped file, a codec's buffer); `owner` keeps `view` alive.
    Blob(std::shared_ptr<const void> owner, BytesView view) : owner_(std::move(owner)), view_(view) {}
    static Blob copy_of(BytesView view) { return Blob(Bytes(view.begin(), view.end())); }
    static Blob copy_of(std::string_view text) { return copy_of(as_bytes(text)); }

    BytesView view() const { return view_; }
    std::string_view text() const { return as_text(view_); }
    const std::uint8_t* data() const { return view_.data(); }
    std::size_t size() const { return view_.size(); }
    bool empty() const { return view_.empty(); }
    // A window on the same memory. offset and count are clamped to the size.
    Blob slice(std::size_t offset, std::size_t count) const {
        offset = std::min(offset, view_.size());
        return Blob(owner_, view_.subspan(offset, std::min(count, view_.size() - offset)));
    }

  private:
    std::shared_ptr<const void> owner_;
    BytesView view_;
};

}  // namespace framegrid
