#include <framegrid/gateway/job_messages.hpp>

#include <cmath>

#include <boost/json.hpp>

#include <framegrid/job/record_json.hpp>

namespace framegrid::gateway {

namespace {

namespace json = boost::json;

constexpr int kGone = 410;
constexpr double kBackOff = 3;

}  // namespace

std::optional<job::Delivery> message_of(
    const job::Record& record, const DeskSettings& settings, Random& random
) {
    boost::system::error_code error;
    const auto request = json::parse(record.request, error);
    const auto* url = !error && request.is_object() ? request.get_object().if_contains("webhook") : nullptr;
    if (url == nullptr || !url->is_string()) {
        return std::nullopt;
    }
    const auto now = record.finished_unix_ms;
    job::Delivery out;
    out.id = job::make_id("msg", now, random);
    out.job_id = record.id;
    out.url = std::string(url->get_string());
    out.next_unix_ms = now;
    out.body = R"({"type":"job.)" + std::string(job::to_string(record.state)) + R"(","timestamp":")" +
               job::utc_text(now) + R"(","data":)" + job::describe(record, settings.public_url) + "}";
    return out;
}

void settle(
    job::Delivery& message, const Result<int>& outcome, const DeskSettings& settings, std::int64_t now
) {
    ++message.attempts;
    message.last_outcome = outcome ? std::to_string(*outcome) : outcome.error().message;
    const bool taken = outcome && *outcome >= 200 && *outcome < 300;
    message.given_up =
        !taken && (message.attempts >= settings.message_attempts_max || (outcome && *outcome == kGone));
    message.done = taken || message.given_up;
    const double wait = static_cast<double>(milliseconds(settings.message_retry_first)) *
                        std::pow(kBackOff, message.attempts - 1);
    message.next_unix_ms = now + static_cast<std::int64_t>(wait);
}

Task<Result<bool>> JobMessages::serve() {
    TaskGroup sending(ports_.executor, settings_.messages_max, ports_.log);
    co_return co_await with_group<bool>(sending, look(sending));
}

Task<Result<bool>> JobMessages::look(TaskGroup& sending) {
    for (;;) {
        const auto room = sending.max() - sending.size();
        const auto now = ports_.clock.unix_ms();
        // Whoever takes a message and goes away leaves it to the next look after this.
        const auto until = now + milliseconds(settings_.message_time_max) * 2;
        if (room > 0) {
            auto due = co_await ports_.store.take_due(now, until, room);
            for (auto& message : due ? *due : std::vector<job::Delivery>{}) {
                sending.spawn(send(std::move(message)));
            }
        }
        co_await due_.wait_until(ports_.clock, ports_.clock.now() + settings_.look_period);
    }
}

Task<void> JobMessages::send(job::Delivery message) {
    const auto deadline = Deadline::after(ports_.clock, settings_.message_time_max);
    const auto outcome = co_await ports_.sender.send(message, deadline);
    settle(message, outcome, settings_, ports_.clock.unix_ms());
    ++(message.done && !message.given_up ? sent_ : failed_);
    if (message.given_up) {
        ports_.log.warn(
            "gateway.webhook_given_up",
            {{"job", message.job_id}, {"message", message.id}, {"outcome", message.last_outcome}}
        );
    }
    const auto kept = co_await ports_.store.update_delivery(message);
    if (!kept) {
        ports_.log.warn(
            "gateway.webhook_not_kept", {{"message", message.id}, {"error", kept.error().message}}
        );
    }
}

}  // namespace framegrid::gateway
