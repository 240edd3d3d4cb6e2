#include <framegrid/pay/receipt_desk.hpp>

#include <algorithm>
#include <utility>

namespace framegrid::pay {

namespace {

constexpr std::size_t kWorkNameMax = 128;

std::size_t bytes_of(const ReceiptDraft& draft) {
    std::size_t out = draft.input.size();
    for (const auto& output : draft.outputs) {
        out += output.size();
    }
    return out;
}

void add_digests(ReceiptDraft& draft) {
    if (draft.receipt.input == crypto::Hash32{} && !draft.input.empty()) {
        draft.receipt.input = crypto::sha256(draft.input.view());
    }
    if (draft.receipt.output != crypto::Hash32{} || draft.outputs.empty()) {
        return;
    }
    if (draft.outputs.size() == 1) {
        draft.receipt.output = crypto::sha256(draft.outputs.front().view());
        return;
    }
    Bytes digests;
    for (const auto& output : draft.outputs) {
        const auto digest = crypto::sha256(output.view());
        digests.insert(digests.end(), digest.begin(), digest.end());
    }
    draft.receipt.output = crypto::sha256(digests);
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
    const std::size_t bytes = bytes_of(draft);
    if (bytes_ + bytes > settings_.bytes_max) {
        ++stats_.without_digest;
        draft.input = {};
        draft.outputs.clear();
    } else {
        bytes_ += bytes;
    }
    queue_.push_back(std::move(draft));
    if (queue_.size() == 1) {
        posted_.notify_all();
    }
}

// A cancellation may come at every await: what was taken from the queue is in group_ until it is written.
Task<Result<void>> ReceiptDesk::write_group() {
    if (group_.empty()) {
        while (!queue_.empty() && group_.size() < settings_.group_max) {
            group_.push_back(std::move(queue_.front()));
            queue_.pop_front();
        }
        digested_ = false;
    }
    if (!digested_) {
        digested_ = co_await offload(ports_.pool, [this] {
            std::ranges::for_each(group_, add_digests);
            return true;
        });
        for (auto& draft : group_) {
            bytes_ -= bytes_of(draft);
            draft.input = {};
            draft.outputs.clear();
        }
    }
    std::vector<Receipt> receipts;
    receipts.reserve(group_.size());
    for (const auto& draft : group_) {
        receipts.push_back(draft.receipt);
    }
    auto written = co_await ports_.receipts.add_all(std::move(receipts));
    if (written) {
        stats_.written += group_.size();
        group_.clear();
    }
    co_return written;
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
    out.gauge("framegrid_receipts_waiting", static_cast<double>(stats.waiting));
}

}  // namespace framegrid::pay
