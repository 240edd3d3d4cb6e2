// Spans: how long each part of a traced request took, and what was part of what. A role gets a Tracer by
// value; without a sink it only hands trace contexts on.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <framegrid/base/result.hpp>
#include <framegrid/base/trace.hpp>
#include <framegrid/runtime/clock.hpp>
#include <framegrid/runtime/random.hpp>

namespace framegrid {

// Numbers as OTLP has them.
enum class SpanKind : std::uint8_t { kInternal = 1, kServer = 2, kClient = 3, kProducer = 4, kConsumer = 5 };

struct SpanRecord {
    TraceContext context;   // its own
    std::string parent_id;  // empty: a root
    std::string name;
    SpanKind kind = SpanKind::kInternal;
    std::int64_t begin_unix_ns = 0;
    std::int64_t end_unix_ns = 0;
    std::vector<std::pair<std::string, std::variant<std::string, std::int64_t>>> attributes;
    std::string error;  // empty: it went well
};

// Port: where finished spans go. Never blocks: what cannot be taken is dropped.
class SpanSink {
  public:
    virtual ~SpanSink() = default;
    virtual void take(SpanRecord span) = 0;
};

// Ends when destroyed. Single-threaded.
class Span {
  public:
    Span() = default;
    Span(Span&& other) noexcept;
    Span& operator=(Span&& other) noexcept;
    Span(const Span&) = delete;
    Span& operator=(const Span&) = delete;
    ~Span() { end(); }

    // For what is part of this span. Without a sink: the context it was started in.
    const TraceContext& context() const { return context_; }
    // Not empty when the span is recorded: guards what costs something to find out.
    explicit operator bool() const { return record_ != nullptr; }
    void rename(std::string name);
    void set(std::string_view key, std::string value);
    void set(std::string_view key, std::int64_t value);
    void fail(const Error& error);
    void end();

  private:
    friend class Tracer;
    TraceContext context_;
    std::unique_ptr<SpanRecord> record_;
    TimePoint began_{};
    SpanSink* sink_ = nullptr;
    const Clock* clock_ = nullptr;
};

// Cheap to copy. A default-made one records nothing and draws no random numbers.
class Tracer {
  public:
    Tracer() = default;
    // All three outlive every span.
    Tracer(SpanSink& sink, const Clock& clock, Random& random)
        : sink_(&sink), clock_(&clock), random_(&random) {}
    // `parent` without a trace id: a new trace.
    Span start(std::string_view name, SpanKind kind, const TraceContext& parent) const;

  private:
    SpanSink* sink_ = nullptr;
    const Clock* clock_ = nullptr;
    Random* random_ = nullptr;
};

}  // namespace framegrid
