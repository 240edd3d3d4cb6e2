#include <framegrid/gateway/job_feed.hpp>

namespace framegrid::gateway {

void JobChannel::publish(ToldEvent told, bool last) {
    recent_.push_back(std::move(told));
    if (recent_.size() > kRemembered) {
        recent_.pop_front();
    }
    over_ = over_ || last;
    changed_.notify_all();
}

bool JobChannel::after(std::uint64_t number, std::vector<ToldEvent>& out) const {
    if (recent_.empty() || recent_.front().event.number > number + 1) {
        return false;
    }
    for (const auto& told : recent_) {
        if (told.event.number > number) {
            out.push_back(told);
        }
    }
    return true;
}

std::shared_ptr<JobChannel> JobFeed::channel_of(const std::string& job_id) {
    auto& known = channels_[job_id];
    if (auto channel = known.lock()) {
        return channel;
    }
    std::shared_ptr<JobChannel> channel(new JobChannel, [this, job_id](JobChannel* gone) {
        channels_.erase(job_id);
        delete gone;
    });
    known = channel;
    return channel;
}

std::vector<std::string> JobFeed::ids() const {
    std::vector<std::string> out;
    out.reserve(channels_.size());
    for (const auto& [id, unused] : channels_) {
        out.push_back(id);
    }
    return out;
}

std::shared_ptr<JobChannel> JobFeed::find(const std::string& job_id) const {
    const auto known = channels_.find(job_id);
    return known == channels_.end() ? nullptr : known->second.lock();
}

}  // namespace framegrid::gateway
