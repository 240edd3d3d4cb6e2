// Receipts and books as strangers write them: never a crash, one form for each, and no unsigned hour is
// taken.
#include <cstddef>
#include <cstdint>

#include <framegrid/pay/receipt_book.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace framegrid;
    const std::string_view text = as_text(BytesView{data, size});
    if (const auto receipt = pay::parse_receipt(text)) {
        FG_ASSERT(pay::to_line(*receipt) == text);
    }
    if (const auto closing = pay::parse_closing(text)) {
        FG_ASSERT(pay::to_line(*closing) == text);
    }
    std::uint64_t seen = 0;
    pay::Reconciliation books;
    const auto hour = pay::read_hour(text, [&](const pay::Receipt& receipt) {
        ++seen;
        (seen % 2 == 0 ? books.add_a(receipt) : books.add_b(receipt));
    });
    (void)books.differences();
    if (hour) {
        FG_ASSERT(hour->sum.receipts() == seen);
        FG_ASSERT(hour->torn <= size);
        pay::BookCheck check;
        FG_ASSERT(hour->closing || !check.add(*hour, "2026-11-27T06"));
    }
    return 0;
}
