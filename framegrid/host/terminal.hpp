// What a person sees on the terminal: its width, colours, a progress bar.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace framegrid::host {

bool is_terminal(int fd);
// Columns; 80 when `fd` is no terminal.
int terminal_width(int fd);
// A terminal that wants colours: not with NO_COLOR set or TERM=dumb.
bool has_colours(int fd);

// Wraps text in ANSI colours, or leaves it alone when `on` is false.
struct Colours {
    bool on = false;
    std::string bold(std::string_view text) const { return wrap("1", text); }
    std::string dim(std::string_view text) const { return wrap("2", text); }
    std::string red(std::string_view text) const { return wrap("31", text); }
    std::string green(std::string_view text) const { return wrap("32", text); }
    std::string yellow(std::string_view text) const { return wrap("33", text); }
    std::string cyan(std::string_view text) const { return wrap("36", text); }

  private:
    std::string wrap(std::string_view code, std::string_view text) const;
};

// "1.5 MB", "312 B": decimal units.
std::string format_bytes(std::uint64_t bytes);
// "4.2 s", "3:07", "1:02:03".
std::string format_seconds(double seconds);

// Progress on standard error: one line redrawn at most 10 times a second on a terminal, else a plain line
// every 5 s. Not thread-safe.
class ProgressBar {
  public:
    explicit ProgressBar(std::string label, int fd = 2);
    ~ProgressBar();
    ProgressBar(const ProgressBar&) = delete;
    ProgressBar& operator=(const ProgressBar&) = delete;

    // done in 0..1 (clamped); `detail` stands behind the bar: "212 fps, 7.1x, ETA 4 s".
    void update(double done, std::string_view detail);
    // Draws the last state at once and ends the line. Later updates do nothing.
    void finish(std::string_view detail);

    // One frame of the bar, at most `width` columns (bytes outside ASCII count as columns too).
    static std::string render(std::string_view label, double done, std::string_view detail, int width);

  private:
    void draw(double done, std::string_view detail, bool last);

    std::string label_;
    int fd_;
    bool terminal_;
    bool finished_ = false;
    bool drawn_ = false;
    std::int64_t next_draw_ms_ = 0;
    double done_ = 0;
};

}  // namespace framegrid::host
