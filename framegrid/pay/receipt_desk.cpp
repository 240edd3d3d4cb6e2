#include <framegrid/pay/receipt_desk.hpp>

#include <algorithm>
#include <iterator>
#include <limits>
#include <utility>

namespace framegrid::pay {

namespace {

constexpr std::size_t kWorkNameMax = 128;

std::size_t outputs_bytes(const ReceiptDraft& draft) {
    std::size_t out = 0;
    for (const auto& output : draft.outputs) {
        out += output.size();
    }
    return out;
}

std::size_t bytes_of(const ReceiptDraft& draft) {
    return draft.parameters.size() + draft.input.size() + outputs_bytes(draft);
}

crypto::Hash32 digest_of(const std::vector<Blob>& outputs) {
    if (outputs.size() == 1) {
        return crypto::sha256(outputs.front().view());
    }
    Bytes digests;
    for (const auto& output : outputs) {
        const auto digest = crypto::sha256(output.view());
        digests.insert(digests.end(), digest.begin(), digest.end());
    }
    return crypto::sha256(digests);
}

// Of what has at most so many bytes; that is let go of then.
void add_digests(ReceiptDraft& draft, std::size_t bytes_max) {
    constexpr crypto::Hash32 kNone{};
    auto& receipt = draft.receipt;
    if (draft.parameters.size() <= bytes_max) {
        receipt.parameters =
            receipt.parameters == kNone ? parameters_digest(draft.parameters) : receipt.parameters;
        draft.parameters = {};
    }
    if (draft.input.size() <= bytes_max) {
        if (receipt.input == kNone && !draft.input.empty()) {
            receipt.input = crypto::sha256(draft.input.view());
        }
        draft.input = {};
    }
    if (outputs_bytes(draft) <= bytes_max) {
        if (receipt.output == kNone && !draft.outputs.empty()) {
            receipt.output = digest_of(draft.outputs);
        }
        draft.outputs = {};
    }
}

}  // namespace

std::string work_name(std::string_view pipeline, std::string_view model) {
    std::string out(pipeline);
    if (!model.empty()) {
        out += '/';
        out += model;
    }
    out.resize(std::min(out.size(), kWorkNameMax));
    std::ranges::replace_if(out, [](char c) { return c < ' ' || c > '~' || c == '"' || c == '\\'; }, '?');
    return out;
}

void ReceiptDesk::post(ReceiptDraft draft) {
    if (waiting() >= settings_.waiting_max) {
        ++stats_.lost;
        return;
    }
    add_digests(draft, settings_.digest_at_once_max);
    const std::size_t bytes = bytes_of(draft);
    if (bytes_ + bytes > settings_.bytes_max) {
        ++stats_.without_digest;
        draft.parameters = {};
        draft.input = {};
        draft.outputs = {};
    } else {
        bytes_ += bytes;
    }
    draft.note = ports_.receipts.note(draft.receipt);
    stats_.not_noted += draft.note == 0 ? 1 : 0;
    queue_.push_back(std::move(draft));
    if (queue_.size() == 1) {
        posted_.notify_all();
    }
}

void ReceiptDesk::take_group() {
    if (queue_.size() <= settings_.group_max) {
        std::swap(queue_, group_);
        return;
    }
    const auto end = queue_.begin() + static_cast<std::ptrdiff_t>(settings_.group_max);
    group_.assign(std::move_iterator(queue_.begin()), std::move_iterator(end));
    queue_.erase(queue_.begin(), end);
}

// A cancellation may come at every await: what was taken from the queue is in group_ or receipts_ until it is
// written.
Task<Result<void>> ReceiptDesk::write_group() {
    if (receipts_.empty()) {
        if (group_.empty()) {
            take_group();
        }
        co_await make_digests();
        last_note_ = 0;
        for (auto& draft : group_) {
            last_note_ = std::max(last_note_, draft.note);  // taken in the order of the queue
            receipts_.push_back(std::move(draft.receipt));
        }
        group_.clear();
    }
    auto written = co_await ports_.receipts.add_all(receipts_);
    if (written) {
        stats_.written += receipts_.size();
        if (last_note_ != 0) {
            ports_.receipts.drop_notes(last_note_);
        }
        receipts_.clear();
    }
    co_return written;
}

// Of what was too much for post().
Task<void> ReceiptDesk::make_digests() {
    std::vector<std::size_t> late;
    std::size_t bytes = 0;
    for (std::size_t i = 0; i < group_.size(); ++i) {
        if (const std::size_t more = bytes_of(group_[i]); more > 0) {
            late.push_back(i);
            bytes += more;
        }
    }
    if (!late.empty()) {
        (void)co_await offload(ports_.pool, [&] {
            for (const std::size_t i : late) {
                add_digests(group_[i], std::numeric_limits<std::size_t>::max());
            }
            return true;
        });
    }
    bytes_ -= bytes;
    for (const std::size_t i : late) {
        if (group_[i].note != 0) {
            ports_.receipts.change_note(group_[i].note, group_[i].receipt);
        }
    }
}

Task<void> ReceiptDesk::close_past() {
    if (const auto closed = co_await ports_.receipts.close_past(); !closed) {
        ++stats_.write_errors;
        ports_.log.warn("receipts.hour_not_closed", {{"error", closed.error().message}});
    }
}

Task<Result<bool>> ReceiptDesk::serve() {
    TimePoint close_at = ports_.clock.now() + settings_.close_period;
    for (;;) {
        if (waiting() == 0) {
            (void)co_await posted_.wait_until(ports_.clock, close_at);
        }
        if (group_.empty() && receipts_.empty() && queue_.size() < settings_.group_max) {
            // Under load, too: a turn of the pool for each few receipts costs more than they do.
            co_await sleep_for(ports_.clock, settings_.gather_time);
        }
        if (ports_.clock.now() >= close_at) {
            close_at = ports_.clock.now() + settings_.close_period;
            co_await close_past();
        }
        if (waiting() == 0) {
            continue;
        }
        const auto written = co_await write_group();
        if (written) {
            if (std::exchange(failing_, false)) {
                ports_.log.info("receipts.written_again", {{"lost", stats_.lost}});
            }
            continue;
        }
        ++stats_.write_errors;
        if (!std::exchange(failing_, true)) {
            ports_.log.error(
                "receipts.not_written", {{"waiting", waiting()}, {"error", written.error().message}}
            );
        }
        co_await sleep_for(ports_.clock, settings_.retry_pause);
    }
}

Task<Result<void>> ReceiptDesk::flush() {
    while (waiting() > 0) {
        FG_CO_CHECK(co_await write_group());
    }
    co_return Result<void>{};
}

ReceiptDeskStats ReceiptDesk::stats() const {
    ReceiptDeskStats out = stats_;
    out.waiting = waiting();
    return out;
}

void dump(MetricsWriter& out, const ReceiptDeskStats& stats) {
    out.counter("framegrid_receipts_written_total", stats.written);
    out.counter("framegrid_receipts_lost_total", stats.lost);
    out.counter("framegrid_receipts_without_digest_total", stats.without_digest);
    out.counter("framegrid_receipts_write_errors_total", stats.write_errors);
    out.counter("framegrid_receipts_not_noted_total", stats.not_noted);
    out.gauge("framegrid_receipts_waiting", static_cast<double>(stats.waiting));
}

}  // namespace framegrid::pay
