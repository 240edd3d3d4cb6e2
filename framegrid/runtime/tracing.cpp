#include <framegrid/runtime/tracing.hpp>

namespace framegrid {

namespace {

constexpr std::size_t kTraceBytes = 16;
constexpr std::size_t kSpanBytes = 8;
constexpr std::size_t kTextMax = 1024;  // of one attribute or error
constexpr std::int64_t kNanosecondsPerMs = 1'000'000;

std::string cut(std::string text) {
    if (text.size() > kTextMax) {
        text.resize(kTextMax);
    }
    return text;
}

}  // namespace

Span::Span(Span&& other) noexcept
    : context_(std::move(other.context_)),
      record_(std::move(other.record_)),
      began_(other.began_),
      sink_(other.sink_),
      clock_(other.clock_) {}

Span& Span::operator=(Span&& other) noexcept {
    if (this != &other) {
        end();
        context_ = std::move(other.context_);
        record_ = std::move(other.record_);
        began_ = other.began_;
        sink_ = other.sink_;
        clock_ = other.clock_;
    }
    return *this;
}

void Span::rename(std::string name) {
    if (record_) {
        record_->name = std::move(name);
    }
}

void Span::set(std::string_view key, std::string value) {
    if (record_) {
        record_->attributes.emplace_back(key, cut(std::move(value)));
    }
}

void Span::set(std::string_view key, std::int64_t value) {
    if (record_) {
        record_->attributes.emplace_back(key, value);
    }
}

void Span::fail(const Error& error) {
    if (record_) {
        record_->error = cut(error.message.empty() ? std::string(to_string(error.code)) : error.message);
        set("error.type", std::string(to_string(error.code)));
    }
}

void Span::end() {
    if (record_) {
        record_->end_unix_ns = record_->begin_unix_ns + (clock_->now() - began_).count();
        sink_->take(std::move(*record_));
        record_.reset();
    }
}

Span Tracer::start(std::string_view name, SpanKind kind, const TraceContext& parent) const {
    Span span;
    span.context_ = parent;
    if (sink_ == nullptr || !parent.sampled) {
        return span;
    }
    if (parent.trace_id.empty()) {
        span.context_ = {random_->hex(kTraceBytes), {}};
    }
    span.context_.span_id = random_->hex(kSpanBytes);
    span.record_ = std::make_unique<SpanRecord>();
    span.record_->context = span.context_;
    span.record_->parent_id = parent.trace_id.empty() ? std::string() : parent.span_id;
    span.record_->name = name;
    span.record_->kind = kind;
    span.record_->begin_unix_ns = clock_->unix_ms() * kNanosecondsPerMs;
    span.began_ = clock_->now();
    span.sink_ = sink_;
    span.clock_ = clock_;
    return span;
}

}  // namespace framegrid
