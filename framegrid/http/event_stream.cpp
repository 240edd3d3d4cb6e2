#include <framegrid/http/event_stream.hpp>

namespace framegrid::http {

std::string format_event(const Event& event) {
    std::string out;
    if (!event.id.empty()) {
        out += "id: " + event.id + "\n";
    }
    if (!event.name.empty()) {
        out += "event: " + event.name + "\n";
    }
    std::string_view left = event.data;
    while (true) {
        const auto end = left.find('\n');
        out += "data: ";
        out += left.substr(0, end);
        out += '\n';
        if (end == std::string_view::npos) {
            break;
        }
        left.remove_prefix(end + 1);
    }
    out += '\n';
    return out;
}

Result<void> EventReader::append(std::string_view text) {
    for (const char c : text) {
        const bool continues = after_return_ && c == '\n';
        after_return_ = c == '\r';
        if (continues) {
            continue;
        }
        if (c == '\n' || c == '\r') {
            take_line(line_);
            line_.clear();
            continue;
        }
        if (line_.size() + event_.data.size() >= limit_) {
            return fail(Errc::kTooLarge, "an event has over " + std::to_string(limit_) + " bytes");
        }
        line_ += c;
    }
    return {};
}

void EventReader::take_line(std::string_view line) {
    if (line.empty()) {
        if (has_data_) {
            events_.push_back(std::move(event_));
        }
        event_ = {};
        has_data_ = false;
        return;
    }
    const auto colon = line.find(':');
    const std::string_view field = line.substr(0, colon);
    std::string_view value = colon == std::string_view::npos ? std::string_view() : line.substr(colon + 1);
    if (value.starts_with(' ')) {
        value.remove_prefix(1);
    }
    if (field == "id") {
        event_.id = value;
    } else if (field == "event") {
        event_.name = value;
    } else if (field == "data") {
        if (has_data_) {
            event_.data += '\n';
        }
        event_.data += value;
        has_data_ = true;
    }
}

std::optional<Event> EventReader::next() {
    if (events_.empty()) {
        return std::nullopt;
    }
    Event event = std::move(events_.front());
    events_.pop_front();
    return event;
}

Task<Result<std::optional<Event>>> read_event(BodyReader& body, EventReader& reader) {
    for (;;) {
        if (auto event = reader.next()) {
            co_return event;
        }
        FG_CO_TRY(piece, co_await body.read());
        if (piece.empty()) {
            co_return std::optional<Event>();
        }
        FG_CO_CHECK(reader.append(piece.text()));
    }
}

void EventOutlet::put(Event event) {
    newest_ = std::move(event);
    changed_.notify_all();
}

void EventOutlet::close() {
    closed_ = true;
    changed_.notify_all();
}

Task<Result<void>> EventOutlet::run() {
    while (!closed_) {
        if (!newest_) {
            const bool quiet = !co_await changed_.wait_until(clock_, clock_.now() + kQuietMax);
            if (quiet && response_.started()) {
                FG_CO_CHECK(co_await response_.write(Blob::copy_of(":\n\n")));
            }
            continue;
        }
        const Event event = *std::exchange(newest_, std::nullopt);
        if (!response_.started()) {
            ResponseHead head;
            head.headers = {
                {"content-type", std::string(kEventStreamType)},
                {"cache-control", "no-store"},
                {"x-accel-buffering", "no"},
            };
            FG_CO_CHECK(co_await start_(std::move(head)));
        }
        FG_CO_CHECK(co_await response_.write(Blob(to_bytes(format_event(event)))));
    }
    co_return Result<void>{};
}

}  // namespace framegrid::http
