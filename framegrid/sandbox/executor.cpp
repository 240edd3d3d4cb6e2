#include <framegrid/sandbox/executor.hpp>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <mutex>
#include <new>
#include <optional>
#include <thread>

#include <framegrid/sandbox/hardening.hpp>
#include <framegrid/sandbox/message.hpp>
#include <framegrid/sandbox/result_writer.hpp>
#include <framegrid/sandbox/shared_memory.hpp>

#include <fmt/format.h>

namespace framegrid::sandbox {

namespace {

constexpr std::size_t kDescriptorsMax = 4;  // per message; the parent sends at most two
constexpr std::size_t kEndedSessionsMax = 1024;

// Blocking messages over the socket pair. One thread may receive while others send.
class Channel {
  public:
    explicit Channel(int fd) : fd_(fd) {}

    // nullopt: the parent is gone or talks nonsense.
    std::optional<Message> receive() {
        while (true) {
            auto message = reader_.next();
            if (!message) {
                return std::nullopt;
            }
            if (*message) {
                return std::move(**message);
            }
            if (!read_more()) {
                return std::nullopt;
            }
        }
    }

    // The oldest descriptor received and not yet taken.
    host::UniqueFd take_descriptor() {
        if (descriptors_.empty()) {
            return {};
        }
        auto fd = std::move(descriptors_.front());
        descriptors_.pop_front();
        return fd;
    }

    bool send(const Message& message) {
        const auto frame = encode(message);
        if (!frame) {
            return false;
        }
        const std::scoped_lock lock(sending_);
        BytesView left = *frame;
        while (!left.empty()) {
            const ssize_t put = ::send(fd_, left.data(), left.size(), MSG_NOSIGNAL);
            if (put < 0 && errno != EINTR) {
                return false;
            }
            left = left.subspan(static_cast<std::size_t>(std::max<ssize_t>(put, 0)));
        }
        return true;
    }

  private:
    bool read_more() {
        std::array<std::uint8_t, 64 * 1024> chunk;
        alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * kDescriptorsMax)> control;
        iovec vector = {.iov_base = chunk.data(), .iov_len = chunk.size()};
        msghdr header = {};
        header.msg_iov = &vector;
        header.msg_iovlen = 1;
        header.msg_control = control.data();
        header.msg_controllen = control.size();
        ssize_t got = 0;
        do {
            got = ::recvmsg(fd_, &header, MSG_CMSG_CLOEXEC);
        } while (got < 0 && errno == EINTR);
        if (got <= 0) {
            return false;
        }
        for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, part)) {
            if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) {
                continue;
            }
            const std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
            for (std::size_t i = 0; i < count; ++i) {
                int fd = -1;
                std::memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof fd);
                descriptors_.emplace_back(fd);
            }
        }
        reader_.append(BytesView(chunk).first(static_cast<std::size_t>(got)));
        return true;
    }

    int fd_;
    std::mutex sending_;
    FrameReader reader_;
    std::deque<host::UniqueFd> descriptors_;
};

struct Task {
    RunMessage message;
    host::UniqueFd input;
    host::UniqueFd output;  // empty: use the region that is there
};

// What the reader thread hands to the thread of one slot.
class Inbox {
  public:
    // False: a second task while one is there, which the parent never sends.
    bool put(Task task) {
        const std::scoped_lock lock(mutex_);
        if (current_ != 0) {
            return false;
        }
        current_ = task.message.task;
        stop_ = false;
        task_ = std::move(task);
        wake_.notify_one();
        return true;
    }
    void cancel(std::uint64_t task) {
        const std::scoped_lock lock(mutex_);
        if (current_ == task) {
            stop_ = true;
        }
    }
    void end_session(std::string id) {
        const std::scoped_lock lock(mutex_);
        if (ended_sessions_.size() < kEndedSessionsMax) {
            ended_sessions_.push_back(std::move(id));
            wake_.notify_one();
        }
    }
    // No more input. True when a task is being worked on.
    bool close() {
        const std::scoped_lock lock(mutex_);
        closed_ = true;
        wake_.notify_one();
        return current_ != 0;
    }

    struct Item {
        std::optional<Task> task;
        std::string ended_session;  // when there is no task
    };
    // nullopt: closed.
    std::optional<Item> take() {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [this] { return closed_ || task_ || !ended_sessions_.empty(); });
        if (closed_) {
            return std::nullopt;
        }
        Item item;
        if (!ended_sessions_.empty()) {
            item.ended_session = std::move(ended_sessions_.front());
            ended_sessions_.pop_front();
        } else {
            item.task = std::exchange(task_, std::nullopt);
        }
        return item;
    }
    void finished() {
        const std::scoped_lock lock(mutex_);
        current_ = 0;
    }
    const api::StopFlag& stop() const { return stop_; }

  private:
    std::mutex mutex_;
    std::condition_variable wake_;
    std::optional<Task> task_;
    std::deque<std::string> ended_sessions_;
    std::uint64_t current_ = 0;
    bool closed_ = false;
    api::StopFlag stop_ = false;
};

// Tells the parent what the process does with models, when that has changed.
class UseTeller {
  public:
    UseTeller(Channel& channel, const ExecutorService& service) : channel_(channel), service_(service) {}

    void tell() {
        if (!service_.use) {
            return;
        }
        const std::scoped_lock lock(mutex_);  // what is told last is the newest
        UsageMessage now{service_.use()};
        if (now != last_) {
            channel_.send(now);
            last_ = std::move(now);
        }
    }

  private:
    Channel& channel_;
    const ExecutorService& service_;
    std::mutex mutex_;
    UsageMessage last_;
};

// The work of one slot, on one thread.
class Slot {
  public:
    Slot(Channel& channel, const ExecutorService& service, UseTeller& use, std::uint64_t memory_bytes_max)
        : channel_(channel), service_(service), use_(use), memory_bytes_max_(memory_bytes_max) {}

    Inbox& inbox() { return inbox_; }

    void work_until_closed() {
        while (auto item = inbox_.take()) {
            if (!item->task) {
                if (service_.end_session) {
                    service_.end_session(item->ended_session);
                }
                continue;
            }
            DoneMessage done{item->task->message.task, fail(Errc::kInternal, ""), false};
            done.outcome = run(*item->task, done.retire);
            item.reset();  // unmaps the input
            use_.tell();
            inbox_.finished();
            if (!channel_.send(done)) {
                // The parent refuses nothing but a result that does not fit into a message.
                channel_.send(DoneMessage{
                    done.task, fail(Errc::kTooLarge, "the result has too many or too long names"), false
                });
            }
        }
    }

  private:
    Result<OutputMessage> run(Task& task, bool& retire) {
        if (task.output) {
            results_.use(std::move(task.output), *task.message.output_shared);
        }
        results_.begin();
        api::Work& work = task.message.work;
        if (task.message.input_shared) {
            FG_TRY(input, seal_and_map(task.input, *task.message.input_shared));
            work.input = std::move(input);
        }
        const api::WorkEvents events = events_of(task.message);
        api::WorkContext context{inbox_.stop(), events};
        if (task.message.deadline_ms > 0) {
            context.deadline = service_.now() + std::chrono::milliseconds(task.message.deadline_ms);
        }
        try {
            FG_TRY(output, service_.run(work, context));
            return results_.finish(output);
        } catch (const std::bad_alloc&) {
            retire = true;
            auto error = make_error(
                Errc::kUnavailable,
                fmt::format(
                    "the task needs more memory than an executor has ({} MB)", memory_bytes_max_ / 1'000'000
                )
            );
            return fail(std::move(error).with_disposition(Disposition::kRetry));
        } catch (const std::exception& e) {
            return fail(Errc::kInternal, fmt::format("the task failed unexpectedly: {}", e.what()));
        }
    }

    // What cannot be told costs nothing: a file comes with the outcome.
    api::WorkEvents events_of(const RunMessage& message) {
        api::WorkEvents events;
        events.artifact = [this,
                           task = message.task](std::size_t index, const api::Artifact& artifact) noexcept {
            try {
                auto entry = results_.write(index, artifact);
                if (entry) {
                    channel_.send(EarlyMessage{task, static_cast<std::uint32_t>(index), std::move(*entry)});
                }
            } catch (const std::bad_alloc&) {
                return;
            }
        };
        const auto* ai = std::get_if<api::AiWork>(&message.work.kind);
        if (ai != nullptr && ai->progress) {
            events.progress = [this, task = message.task](const api::Progress& progress) noexcept {
                try {
                    ProgressMessage told{task, progress};
                    if (told.progress.preview.size() > kInlineMax) {
                        told.progress.preview = {};
                    }
                    channel_.send(told);
                } catch (const std::bad_alloc&) {
                    return;
                }
            };
        }
        return events;
    }

    Channel& channel_;
    const ExecutorService& service_;
    UseTeller& use_;
    std::uint64_t memory_bytes_max_;
    Inbox inbox_;
    ResultWriter results_;
};

// All slots. Used by the reader thread, but for slot 0's own thread.
class Slots {
  public:
    Slots(Channel& channel, const ExecutorService& service, std::uint64_t memory_bytes_max)
        : channel_(channel), service_(service), memory_bytes_max_(memory_bytes_max) {
        slots_.push_back(make_slot());
    }

    Slot& first() { return *slots_.front(); }
    // False: there is a task in that slot.
    bool put(Task task) {
        const std::size_t at = task.message.slot;
        while (slots_.size() <= at) {
            slots_.push_back(make_slot());
            threads_.emplace_back([slot = slots_.back().get()] { slot->work_until_closed(); });
        }
        return slots_[at]->inbox().put(std::move(task));
    }
    void cancel(std::uint64_t task) {
        for (const auto& slot : slots_) {
            slot->inbox().cancel(task);
        }
    }
    void prepare() {
        if (service_.prepare && !preparing_.joinable()) {
            preparing_ = std::jthread([this] {
                try {
                    service_.prepare();
                } catch (const std::exception&) {
                    return;  // the task that needs it says what is wrong
                }
            });
        }
    }
    // No more input. True when a task is being worked on.
    bool close() {
        bool busy = false;
        for (const auto& slot : slots_) {
            busy = slot->inbox().close() || busy;
        }
        return busy;
    }

  private:
    std::unique_ptr<Slot> make_slot() {
        return std::make_unique<Slot>(channel_, service_, use_, memory_bytes_max_);
    }

    Channel& channel_;
    const ExecutorService& service_;
    std::uint64_t memory_bytes_max_;
    UseTeller use_{channel_, service_};
    std::vector<std::unique_ptr<Slot>> slots_;
    std::vector<std::jthread> threads_;  // of the slots after the first
    std::jthread preparing_;
};

// Takes one message apart. False: the parent broke the protocol.
bool deliver(Message message, Channel& channel, Slots& slots) {
    if (auto* run = std::get_if<RunMessage>(&message)) {
        Task task{std::move(*run), {}, {}};
        if (task.message.input_shared && !(task.input = channel.take_descriptor())) {
            return false;
        }
        if (task.message.output_shared && !(task.output = channel.take_descriptor())) {
            return false;
        }
        return slots.put(std::move(task));
    }
    if (const auto* cancel = std::get_if<CancelMessage>(&message)) {
        slots.cancel(cancel->task);
        return true;
    }
    if (auto* end = std::get_if<EndSessionMessage>(&message)) {
        slots.first().inbox().end_session(std::move(end->session_id));
        return true;
    }
    if (std::holds_alternative<PrepareMessage>(message)) {
        slots.prepare();
        return true;
    }
    return false;
}

}  // namespace

int serve_executor(int fd, const ExecutorService& service) {
    Channel channel(fd);
    const auto first = channel.receive();
    const auto* setup = first ? std::get_if<SetupMessage>(&*first) : nullptr;
    if (setup == nullptr) {
        return 1;
    }
    if (!channel.send(ReadyMessage{harden(*setup, fd)})) {
        return 1;
    }
    Slots slots(channel, service, setup->memory_bytes_max);
    bool broken = false;
    std::thread reader([&] {
        while (auto message = channel.receive()) {
            if (!deliver(std::move(*message), channel, slots)) {
                broken = true;
                break;
            }
        }
        // Nobody waits for the tasks any more, and they may never look at their stop flags.
        if (slots.close()) {
            ::_exit(broken ? 1 : 0);
        }
    });
    slots.first().work_until_closed();
    reader.join();
    if constexpr (is_sanitized()) {
        ::_exit(broken ? 1 : 0);  // the leak check wants to start a process
    }
    return broken ? 1 : 0;
}

}  // namespace framegrid::sandbox
