#include <framegrid/host/terminal.hpp>

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdlib>

#include <fmt/format.h>

namespace framegrid::host {

namespace {

constexpr std::int64_t kRedrawMs = 100;
constexpr std::int64_t kPlainLineMs = 5'000;

std::int64_t steady_ms() {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

// Progress is a courtesy: a broken terminal must not end the work.
void write_quietly(int fd, std::string_view text) {
    while (!text.empty()) {
        const ssize_t put = ::write(fd, text.data(), text.size());
        if (put <= 0) {
            return;
        }
        text.remove_prefix(static_cast<std::size_t>(put));
    }
}

}  // namespace

bool is_terminal(int fd) {
    return ::isatty(fd) == 1;
}

int terminal_width(int fd) {
    winsize size = {};
    if (::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
        return size.ws_col;
    }
    return 80;
}

bool has_colours(int fd) {
    const char* no_color = std::getenv("NO_COLOR");
    if (no_color != nullptr && *no_color != 0) {
        return false;
    }
    const char* term = std::getenv("TERM");
    return is_terminal(fd) && term != nullptr && std::string_view(term) != "dumb";
}

std::string Colours::wrap(std::string_view code, std::string_view text) const {
    return on ? fmt::format("\x1b[{}m{}\x1b[0m", code, text) : std::string(text);
}

std::string format_bytes(std::uint64_t bytes) {
    static constexpr std::array<const char*, 5> kUnits = {"B", "kB", "MB", "GB", "TB"};
    if (bytes < 1000) {
        return fmt::format("{} B", bytes);
    }
    double value = static_cast<double>(bytes);
    std::size_t unit = 0;
    while (value >= 999.95 && unit + 1 < kUnits.size()) {
        value /= 1000;
        ++unit;
    }
    return fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string format_seconds(double seconds) {
    if (!std::isfinite(seconds) || seconds < 0 || seconds > 1e9) {
        return "?";
    }
    if (seconds < 10) {
        return fmt::format("{:.1f} s", seconds);
    }
    const auto whole = static_cast<long>(std::lround(seconds));
    if (whole < 60) {
        return fmt::format("{} s", whole);
    }
    if (whole < 3600) {
        return fmt::format("{}:{:02}", whole / 60, whole % 60);
    }
    return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
}

ProgressBar::ProgressBar(std::string label, int fd)
    : label_(std::move(label)), fd_(fd), terminal_(is_terminal(fd)) {}

ProgressBar::~ProgressBar() {
    if (drawn_ && !finished_ && terminal_) {
        write_quietly(fd_, "\n");
    }
}

void ProgressBar::update(double done, std::string_view detail) {
    done_ = std::isfinite(done) ? std::clamp(done, 0.0, 1.0) : done_;
    if (finished_ || steady_ms() < next_draw_ms_) {
        return;
    }
    draw(done_, detail, false);
}

void ProgressBar::finish(std::string_view detail) {
    if (!finished_) {
        draw(done_, detail, true);
        finished_ = true;
    }
}

void ProgressBar::draw(double done, std::string_view detail, bool last) {
    drawn_ = true;
    next_draw_ms_ = steady_ms() + (terminal_ ? kRedrawMs : kPlainLineMs);
    if (terminal_) {
        const std::string line = render(label_, done, detail, terminal_width(fd_) - 1);
        write_quietly(fd_, fmt::format("\r{}\x1b[K{}", line, last ? "\n" : ""));
    } else {
        write_quietly(fd_, fmt::format("{} {:3.0f}% {}\n", label_, done * 100, detail));
    }
}

std::string ProgressBar::render(std::string_view label, double done, std::string_view detail, int width) {
    const std::string head = fmt::format("{} ", label);
    const std::string tail = fmt::format(" {:3.0f}%  {}", done * 100, detail);
    const int room = std::min(40, width - static_cast<int>(head.size() + tail.size()) - 2);
    std::string line = head;
    if (room >= 5) {
        const int full = static_cast<int>(std::lround(done * room));
        line += '[' + std::string(static_cast<std::size_t>(full), '#') +
                std::string(static_cast<std::size_t>(room - full), '.') + ']';
    }
    line += tail;
    return line.substr(0, static_cast<std::size_t>(std::max(width, 0)));
}

}  // namespace framegrid::host
