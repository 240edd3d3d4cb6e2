// Checking a month of receipts without anybody's help: 1,000,000 receipts in 720 signed hours, on one core.
// Prints one JSON object; `cpu_seconds` is what a
// core of one's own would take. The bar is 10 s.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <string>

#include <framegrid/host/files.hpp>
#include <framegrid/pay/receipt_book.hpp>
#include <framegrid/pay/ticket_for_test.hpp>
#include <framegrid/receipts_fs/receipt_files.hpp>

namespace {

using namespace framegrid;

constexpr int kHours = 720;
constexpr std::int64_t kHourMs = 3'600'000;
constexpr std::int64_t kStartMs = 1'764'547'200'000;  // 2025-12-01

// Written as a party would, but without a system call for each.
void write_month(const host::Path& directory, int receipts) {
    const auto key = pay::key_of("party");
    crypto::Hash32 previous{};
    int number = 0;
    for (int hour = 0; hour < kHours; ++hour) {
        pay::HourSum sum;
        std::string text;
        for (; number < static_cast<std::int64_t>(receipts) * (hour + 1) / kHours; ++number) {
            pay::Receipt receipt;
            receipt.id = crypto::sha256(as_bytes(std::to_string(number)));
            receipt.unix_ms = kStartMs + hour * kHourMs + number % 1'000;
            receipt.payer = key.address();
            receipt.payee = pay::Address{2};
            receipt.work = "text-to-image framegrid/scenes";
            receipt.price = {1'000 + number % 7, 1 + number % 3};
            receipt.units = 512 * 512 * (1 + number % 4);
            receipt.model = crypto::Hash32{3};
            receipt.input = receipt.id;
            receipt.output = receipt.id;
            const auto line = pay::to_line(receipt);
            sum.add(receipt, line);
            text += line + '\n';
        }
        const auto name = pay::hour_of(kStartMs + hour * kHourMs);
        const auto closing = pay::to_line(sum.close(name, previous, key));
        previous = crypto::sha256(as_bytes(closing));
        std::ofstream(directory / (name + ".jsonl"), std::ios::binary) << text << closing << '\n';
    }
}

}  // namespace

int main(int argc, char** argv) {
    const int receipts = argc > 1 ? std::atoi(argv[1]) : 1'000'000;
    const auto directory = host::TempDir::make("framegrid-receipts-bench");
    FG_ASSERT(directory);
    write_month(directory->path(), receipts);
    const auto start = std::chrono::steady_clock::now();
    const std::clock_t cpu_start = std::clock();
    const auto report = receipts_fs::check_book(directory->path(), [](const pay::Receipt&) {});
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    const double cpu = static_cast<double>(std::clock() - cpu_start) / CLOCKS_PER_SEC;
    FG_ASSERT(report && report->receipts == static_cast<std::uint64_t>(receipts) && report->hours == kHours);
    std::printf(
        "{\"receipts\":%d,\"hours\":%d,\"seconds\":%.2f,\"cpu_seconds\":%.2f,\"receipt_us\":%.2f}\n",
        receipts, kHours, seconds, cpu, cpu * 1e6 / receipts
    );
    return 0;
}
