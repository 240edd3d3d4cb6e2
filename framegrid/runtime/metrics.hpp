// Counters and gauges as plain structs beside each class, written through one interface.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace framegrid {

struct Histogram;

// Receives one sample: name `framegrid_<lib>_<noun>_<unit>[_total]`, labels from closed sets only.
class MetricsWriter {
  public:
    using Labels = std::initializer_list<std::pair<std::string_view, std::string_view>>;
    virtual ~MetricsWriter() = default;
    virtual void counter(std::string_view name, std::uint64_t value, Labels labels = {}) = 0;
    virtual void gauge(std::string_view name, double value, Labels labels = {}) = 0;
    virtual void histogram(std::string_view name, const Histogram& value, Labels labels = {}) = 0;
};

// Prometheus text exposition format 0.0.4.
class PrometheusText final : public MetricsWriter {
  public:
    void counter(std::string_view name, std::uint64_t value, Labels labels) override;
    void gauge(std::string_view name, double value, Labels labels) override;
    void histogram(std::string_view name, const Histogram& value, Labels labels) override;
    const std::string& text() const { return text_; }

  private:
    void describe(std::string_view kind, std::string_view name);
    // `le`: of a bucket; empty: none.
    void sample(
        std::string_view name, std::string_view value, Labels labels, std::string_view le = std::string_view()
    );
    std::string text_;
    std::string last_name_;
};

}  // namespace framegrid
