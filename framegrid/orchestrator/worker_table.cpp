#include <framegrid/orchestrator/worker_table.hpp>

#include <algorithm>

namespace framegrid::orchestrator {

namespace {
constexpr std::size_t kStickyMax = 10'000;

// For a transcode task only the codec bits matter: storage, tokens and slicing are the orchestrator's own
// business.
job::Capabilities codec_needs(const job::Capabilities& needs) {
    job::Capabilities out = needs;
    out.constraints.clear();
    out.min_version.clear();
    return out;
}
}  // namespace

WorkerId WorkerTable::add(const api::Registration& registration) {
    const WorkerId id{next_id_++};
    workers_.emplace(id, Worker{registration, 0, 0, false, {}});
    sum_up();
    return id;
}

void WorkerTable::remove(WorkerId id) {
    workers_.erase(id);
    sum_up();
    std::erase_if(sticky_, [id](const auto& entry) { return entry.second == id; });
}

bool WorkerTable::drain(WorkerId id) {
    const auto worker = workers_.find(id);
    if (worker == workers_.end() || worker->second.draining) {
        return false;
    }
    worker->second.draining = true;
    sum_up();
    return true;
}

bool WorkerTable::is_draining(WorkerId id) const {
    const auto worker = workers_.find(id);
    return worker != workers_.end() && worker->second.draining;
}

std::int64_t WorkerTable::room(const Worker& worker, const WorkerDemand& demand) const {
    if (demand.kind == api::WorkerKind::kTranscoder || !demand.capability) {
        return worker.registration.capacity - worker.in_flight;
    }
    const auto* model = worker.registration.capabilities.model(*demand.capability, demand.model_id);
    if (model == nullptr) {
        return 0;
    }
    const auto used =
        worker.model_in_flight.find({static_cast<std::uint32_t>(*demand.capability), demand.model_id});
    const std::int64_t in_use = used == worker.model_in_flight.end() ? 0 : used->second;
    return std::min<std::int64_t>(model->capacity - in_use, worker.registration.capacity - worker.in_flight);
}

bool WorkerTable::suits(WorkerId id, const Worker& worker, const WorkerDemand& demand) const {
    if (worker.draining || worker.registration.kind != demand.kind ||
        std::find(demand.exclude.begin(), demand.exclude.end(), id) != demand.exclude.end()) {
        return false;
    }
    if (demand.kind == api::WorkerKind::kTranscoder) {
        return job::compatible(codec_needs(demand.needs), worker.registration.capabilities);
    }
    return demand.capability &&
           worker.registration.capabilities.model(*demand.capability, demand.model_id) != nullptr;
}

std::optional<WorkerId> WorkerTable::pick(const WorkerDemand& demand) const {
    if (const auto held = sticky_.find(demand.session_id); held != sticky_.end()) {
        const auto worker = workers_.find(held->second);
        if (worker != workers_.end() && suits(worker->first, worker->second, demand) &&
            room(worker->second, demand) > 0) {
            return held->second;
        }
    }
    std::optional<WorkerId> best;
    double best_load = 0;
    for (const auto& [id, worker] : workers_) {
        if (!suits(id, worker, demand) || room(worker, demand) <= 0) {
            continue;
        }
        const double load =
            static_cast<double>(worker.in_flight) / static_cast<double>(worker.registration.capacity);
        if (!best || load < best_load) {
            best = id;
            best_load = load;
        }
    }
    return best;
}

bool WorkerTable::could_serve(const WorkerDemand& demand) const {
    return std::any_of(workers_.begin(), workers_.end(), [&](const auto& entry) {
        return suits(entry.first, entry.second, demand);
    });
}

void WorkerTable::started(WorkerId id, const WorkerDemand& demand) {
    const auto worker = workers_.find(id);
    if (worker == workers_.end()) {
        return;
    }
    ++worker->second.in_flight;
    if (demand.capability) {
        ++worker->second.model_in_flight[{static_cast<std::uint32_t>(*demand.capability), demand.model_id}];
    }
    if (!demand.session_id.empty() && (sticky_.size() < kStickyMax || sticky_.contains(demand.session_id))) {
        sticky_[demand.session_id] = id;
    }
}

void WorkerTable::finished(WorkerId id, const WorkerDemand& demand) {
    const auto worker = workers_.find(id);
    if (worker == workers_.end()) {
        return;
    }
    FG_ASSERT(worker->second.in_flight > 0);
    --worker->second.in_flight;
    if (demand.capability) {
        const auto key = std::pair(static_cast<std::uint32_t>(*demand.capability), demand.model_id);
        if (--worker->second.model_in_flight[key] == 0) {
            worker->second.model_in_flight.erase(key);
        }
    }
}

std::optional<WorkerId> WorkerTable::end_session(const std::string& session_id) {
    const auto held = sticky_.find(session_id);
    if (held == sticky_.end()) {
        return std::nullopt;
    }
    const WorkerId id = held->second;
    sticky_.erase(held);
    return id;
}

bool WorkerTable::timed_out(WorkerId id, int strikes) {
    const auto worker = workers_.find(id);
    return worker != workers_.end() && ++worker->second.timeouts >= strikes;
}

void WorkerTable::answered(WorkerId id) {
    if (const auto worker = workers_.find(id); worker != workers_.end()) {
        worker->second.timeouts = 0;
    }
}

void WorkerTable::sum_up() {
    capabilities_ = {};
    capabilities_.add(job::Capability::kAuthToken);
    for (const auto& [id, worker] : workers_) {
        if (!worker.draining) {
            job::merge(capabilities_, worker.registration.capabilities, +1);
        }
    }
}

std::vector<api::HardwareInfo> WorkerTable::hardware() const {
    std::vector<api::HardwareInfo> out;
    for (const auto& [id, worker] : workers_) {
        const auto& hardware = worker.registration.hardware;
        out.insert(out.end(), hardware.begin(), hardware.end());
    }
    return out;
}

std::int64_t WorkerTable::capacity(api::WorkerKind kind) const {
    std::int64_t total = 0;
    for (const auto& [id, worker] : workers_) {
        total += worker.registration.kind == kind ? worker.registration.capacity : 0;
    }
    return total;
}

}  // namespace framegrid::orchestrator
