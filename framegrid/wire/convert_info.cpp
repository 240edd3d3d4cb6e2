#include <framegrid/wire/convert.hpp>

#include <algorithm>

#include <framegrid/wire/convert_checks.hpp>
#include <framegrid/wire/payment_header.hpp>

namespace framegrid::wire {

namespace {

net::PriceInfo price_to_proto(const Price& price) {
    net::PriceInfo message;
    message.set_priceperunit(price.wei);
    message.set_pixelsperunit(price.units);
    return message;
}

// pixelsPerUnit 0 would be a price of infinity; the protocol calls it an error.
Result<Price> price_from_proto(const net::PriceInfo& message, const std::string& field) {
    if (message.pixelsperunit() <= 0 || message.priceperunit() < 0) {
        return refuse_field(field, "is not a price");
    }
    return Price{.wei = message.priceperunit(), .units = message.pixelsperunit()};
}

Result<void> read_prices(const net::OrchestratorInfo& message, api::OrchestratorInfo& info) {
    FG_CHECK(check_count(
        static_cast<std::size_t>(message.capabilities_prices().size()), Limits::kPrices, "capabilities_prices"
    ));
    for (const auto& entry : message.capabilities_prices()) {
        FG_CHECK(check_text(entry.constraint(), Limits::kTextBytes, "capabilities_prices.constraint"));
        // One that is none costs its peer the jobs of that model, not all.
        if (const auto price = price_from_proto(entry, "capabilities_prices")) {
            info.model_prices.push_back({*price, entry.capability(), entry.constraint()});
        }
    }
    return {};
}

Result<void> read_places(const net::OrchestratorInfo& message, api::OrchestratorInfo& info) {
    FG_CHECK(check_text(message.transcoder(), Limits::kUrlBytes, "transcoder"));
    info.service_uri = message.transcoder();
    FG_CHECK(check_count(static_cast<std::size_t>(message.nodes().size()), Limits::kNodes, "nodes"));
    for (const auto& node : message.nodes()) {
        FG_CHECK(check_text(node, Limits::kUrlBytes, "nodes"));
        info.nodes.push_back(node);
    }
    return {};
}

}  // namespace

net::LostJobs to_proto(const api::LostJobs& lost) {
    net::LostJobs message;
    message.set_price(lost.price);
    message.set_capability(lost.capability);
    message.set_capacity(lost.capacity);
    message.set_suspended(lost.suspended);
    message.set_latency(lost.latency);
    if (lost.price_cap) {
        *message.mutable_price_cap() = price_to_proto(*lost.price_cap);
    }
    return message;
}

api::LostJobs from_proto(const net::LostJobs& message) {
    const auto cut = [](std::uint64_t count) { return std::min(count, Limits::kLostJobs); };
    api::LostJobs lost{
        cut(message.price()),     cut(message.capability()), cut(message.capacity()),
        cut(message.suspended()), cut(message.latency()),    std::nullopt,
    };
    if (message.has_price_cap()) {
        if (auto cap = price_from_proto(message.price_cap(), "lost_jobs.price_cap")) {
            lost.price_cap = *cap;
        }
    }
    return lost;
}

net::HardwareInformation to_proto(const api::HardwareInfo& hardware) {
    net::HardwareInformation message;
    message.set_pipeline(hardware.pipeline);
    message.set_model_id(hardware.model_id);
    for (const auto& [key, gpu] : hardware.gpus) {
        auto& entry = (*message.mutable_gpu_info())[key];
        entry.set_id(gpu.id);
        entry.set_name(gpu.name);
        entry.set_major(gpu.major);
        entry.set_minor(gpu.minor);
        entry.set_memory_free(gpu.memory_free);
        entry.set_memory_total(gpu.memory_total);
    }
    return message;
}

Result<api::HardwareInfo> from_proto(const net::HardwareInformation& message) {
    FG_CHECK(check_text(message.pipeline(), Limits::kTextBytes, "hardware.pipeline"));
    FG_CHECK(check_text(message.model_id(), Limits::kTextBytes, "hardware.model_id"));
    FG_CHECK(
        check_count(static_cast<std::size_t>(message.gpu_info().size()), Limits::kGpus, "hardware.gpu_info")
    );
    api::HardwareInfo hardware{.pipeline = message.pipeline(), .model_id = message.model_id(), .gpus = {}};
    for (const auto& [key, entry] : message.gpu_info()) {
        FG_CHECK(check_text(key, Limits::kTextBytes, "hardware.gpu_info"));
        FG_CHECK(check_text(entry.id(), Limits::kTextBytes, "hardware.gpu_info.id"));
        FG_CHECK(check_text(entry.name(), Limits::kTextBytes, "hardware.gpu_info.name"));
        hardware.gpus.emplace(
            key,
            api::GpuInfo{
                .id = entry.id(),
                .name = entry.name(),
                .memory_free = entry.memory_free(),
                .memory_total = entry.memory_total(),
                .major = entry.major(),
                .minor = entry.minor(),
            }
        );
    }
    return hardware;
}

net::OrchestratorInfo to_proto(const api::OrchestratorInfo& info) {
    net::OrchestratorInfo message;
    message.set_transcoder(info.service_uri);
    if (info.price) {
        *message.mutable_price_info() = price_to_proto(*info.price);
    }
    if (info.ticket_params) {
        *message.mutable_ticket_params() = to_proto(*info.ticket_params);
    }
    message.set_address(info.address.data(), info.address.size());
    if (info.capabilities) {
        *message.mutable_capabilities() = to_proto(*info.capabilities);
    }
    *message.mutable_auth_token() = to_proto(info.auth_token);
    for (const auto& hardware : info.hardware) {
        *message.add_hardware() = to_proto(hardware);
    }
    for (const auto& entry : info.model_prices) {
        auto& price = *message.add_capabilities_prices();
        price = price_to_proto(entry.price);
        price.set_capability(entry.capability);
        price.set_constraint(entry.model_id);
    }
    for (const auto& node : info.nodes) {
        message.add_nodes(node);
    }
    return message;
}

Result<api::OrchestratorInfo> from_proto(const net::OrchestratorInfo& message) {
    api::OrchestratorInfo info;
    FG_CHECK(read_places(message, info));
    if (message.has_price_info()) {
        FG_TRY(price, price_from_proto(message.price_info(), "price_info"));
        info.price = price;
    }
    if (message.has_ticket_params()) {
        FG_TRY(params, from_proto(message.ticket_params()));
        info.ticket_params = std::make_shared<const pay::TicketParams>(std::move(params));
    }
    if (!message.address().empty() && message.address().size() != 20) {
        return refuse_field("address", "does not have 20 bytes");
    }
    info.address = to_bytes(message.address());
    if (message.has_capabilities()) {
        FG_TRY(capabilities, from_proto(message.capabilities()));
        info.capabilities = std::move(capabilities);
    }
    if (message.has_auth_token()) {
        FG_TRY(token, from_proto(message.auth_token()));
        info.auth_token = std::move(token);
    }
    FG_CHECK(check_count(static_cast<std::size_t>(message.hardware().size()), Limits::kHardware, "hardware"));
    for (const auto& entry : message.hardware()) {
        FG_TRY(hardware, from_proto(entry));
        info.hardware.push_back(std::move(hardware));
    }
    FG_CHECK(read_prices(message, info));
    return info;
}

}  // namespace framegrid::wire
