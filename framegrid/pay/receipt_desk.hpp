// Receipts off the hot path: a role posts what was settled and goes on; digests of much and writing come
// later, in groups. What was posted is noted: it is not lost with the process.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <framegrid/base/bytes.hpp>
#include <framegrid/base/log.hpp>
#include <framegrid/pay/receipt.hpp>
#include <framegrid/runtime/async.hpp>
#include <framegrid/runtime/metrics.hpp>
#include <framegrid/runtime/offload.hpp>

namespace framegrid::pay {

// A receipt whose digests are still to be made, where they are zero and there are bytes.
struct ReceiptDraft {
    Receipt receipt{};
    std::string parameters{};  // see parameters_digest()
    Blob input{};
    std::vector<Blob> outputs{};
    std::uint64_t note = 0;  // the desk's
};
// "PIPELINE/MODEL", or the pipeline alone, as check_work() wants it: other characters become '?'.
std::string work_name(std::string_view pipeline, std::string_view model);

struct ReceiptDeskSettings {
    std::size_t waiting_max = 20'000;                 // receipts; more are lost and counted
    std::size_t bytes_max = std::size_t{256} << 20U;  // that wait for their digest; over it there is none
    std::size_t digest_at_once_max =
        16 * 1024;                // bytes of parameters, input or outputs: no work for the pool
    std::size_t group_max = 512;  // written at once
    Duration gather_time = std::chrono::milliseconds(20);  // for a group to grow
    Duration retry_pause = std::chrono::seconds(1);
    Duration close_period = std::chrono::minutes(1);
};

struct ReceiptDeskStats {
    std::uint64_t written = 0;
    std::uint64_t lost = 0;            // there was no room for them while they could not be written
    std::uint64_t without_digest = 0;  // of input and output
    std::uint64_t write_errors = 0;
    std::uint64_t not_noted = 0;  // would be lost with the process before they are written
    std::size_t waiting = 0;
};
void dump(MetricsWriter& out, const ReceiptDeskStats& stats);

// On its role's executor. The ports outlive it.
class ReceiptDesk {
  public:
    struct Ports {
        Receipts& receipts;
        Clock& clock;
        WorkPool& pool;
        Logger log;
    };
    explicit ReceiptDesk(Ports ports, ReceiptDeskSettings settings = {})
        : ports_(std::move(ports)), settings_(settings) {}

    // Never waits, never fails: work goes on without receipts.
    void post(ReceiptDraft draft);
    // Writes and closes hours until cancelled.
    Task<Result<bool>> serve();
    // Writes what waits, once: for the end. Not while serve() runs. kIo, kCapacity: some is left.
    Task<Result<void>> flush();
    ReceiptDeskStats stats() const;

  private:
    Task<Result<void>> write_group();
    Task<void> make_digests();
    Task<void> close_past();
    void take_group();
    std::size_t waiting() const { return queue_.size() + group_.size() + receipts_.size(); }

    Ports ports_;
    ReceiptDeskSettings settings_;
    std::vector<ReceiptDraft> queue_;
    std::vector<ReceiptDraft> group_;  // until it has its digests
    std::vector<Receipt> receipts_;    // then: being written, or to be tried again
    std::uint64_t last_note_ = 0;      // of them
    std::size_t bytes_ = 0;            // of blobs that wait for their digest
    bool failing_ = false;
    Notifier posted_;
    ReceiptDeskStats stats_;
};

}  // namespace framegrid::pay
