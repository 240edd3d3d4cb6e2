// A stored file as the input of a job, and the job's result as another one, neither of them in memory.
#pragma once

#include <framegrid/api/objects.hpp>
#include <framegrid/api/transfer.hpp>

namespace framegrid::gateway {

// Objects and clock outlive it. What it has written of a result that does not end goes with it.
class ObjectTransfer final : public api::Transfer {
  public:
    // `input`: an object; each access to the objects may take `access_time_max`.
    ObjectTransfer(api::Objects& objects, Clock& clock, Duration access_time_max, api::ObjectInfo input);

    std::shared_ptr<api::PieceReader> open_input() override;
    Task<Result<void>> begin_output(Deadline deadline) override;
    Task<Result<void>> append(Blob piece, Deadline deadline) override;
    Task<Result<api::FileFacts>> end_output(Deadline deadline) override;
    std::optional<Error> failure() const override { return *failure_; }

    // The result after end_output(), and its first bytes, enough to recognise it by.
    const std::optional<api::ObjectInfo>& result() const { return result_; }
    Blob result_head() const { return Blob::copy_of(head_); }

  private:
    // Keeps what failed here apart from what peers fail at.
    template <class T>
    Result<T> noted(Result<T> result) {
        if (!result) {
            *failure_ = result.error();
        }
        return result;
    }
    Deadline soon(Deadline deadline) const { return deadline.at_most(clock_, access_time_max_); }

    api::Objects& objects_;
    Clock& clock_;
    Duration access_time_max_;
    std::string digest_;
    std::shared_ptr<std::optional<Error>> failure_ = std::make_shared<std::optional<Error>>();
    std::unique_ptr<api::ObjectWriter> writer_;
    Bytes head_;
    std::optional<api::ObjectInfo> result_;
};

}  // namespace framegrid::gateway
