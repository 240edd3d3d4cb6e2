// Runs a piece of code when a scope ends, however it ends: cancellation unwinds coroutines.
#pragma once

#include <utility>

namespace framegrid {

// `fn` must not throw.
template <class F>
class AtExit {
  public:
    explicit AtExit(F fn) : fn_(std::move(fn)) {}
    ~AtExit() { fn_(); }
    AtExit(const AtExit&) = delete;
    AtExit& operator=(const AtExit&) = delete;

  private:
    F fn_;
};

}  // namespace framegrid
