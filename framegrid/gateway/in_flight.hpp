// The pool's count of jobs that an orchestrator has right now.
#pragma once

#include <framegrid/market/pool.hpp>

namespace framegrid::gateway {

// A job counted at its orchestrator; whatever is not settled when it goes was abandoned.
class InFlight {
  public:
    InFlight(market::Pool& pool, market::Slot slot) : pool_(pool), slot_(slot) { pool_.on_started(slot_); }
    ~InFlight() {
        if (!settled_) {
            pool_.on_abandoned(slot_);
        }
    }
    InFlight(const InFlight&) = delete;
    InFlight& operator=(const InFlight&) = delete;
    void settled() { settled_ = true; }

  private:
    market::Pool& pool_;
    market::Slot slot_;
    bool settled_ = false;
};

}  // namespace framegrid::gateway
