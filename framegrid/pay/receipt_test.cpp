#include <framegrid/pay/receipt.hpp>

#include <array>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/json.hpp>

#include <framegrid/pay/field_text.hpp>
#include <framegrid/pay/receipt_book.hpp>
#include <framegrid/pay/ticket_for_test.hpp>

namespace framegrid::pay {

namespace {

using ::testing::HasSubstr;

Receipt receipt(int number) {
    Receipt out;
    out.id = crypto::keccak256(as_bytes(std::to_string(number)));
    out.unix_ms = 1'700'000'000'000 + number;
    out.payer = Address{1};
    out.payee = Address{2};
    out.work = "text-to-image framegrid/scenes";
    out.price = {5, 2};
    out.units = 1 + number;
    out.model = crypto::sha256(as_bytes("model"));
    out.parameters = parameters_digest(R"({"prompt":"a cat"})");
    out.input = crypto::sha256(as_bytes("input"));
    out.output = out.id;
    return out;
}

struct Book {
    crypto::PrivateKey key = key_of("party");
    crypto::Hash32 previous{};

    std::string hour(const std::string& name, int first, int count) {
        std::string text;
        HourSum sum;
        for (int i = first; i < first + count; ++i) {
            const auto line = to_line(receipt(i));
            sum.add(receipt(i), line);
            text += line + '\n';
        }
        const auto closing = to_line(sum.close(name, previous, key));
        previous = crypto::sha256(as_bytes(closing));
        return text + closing + '\n';
    }
};

Result<Hour> read(std::string_view text) {
    return read_hour(text, [](const Receipt&) {});
}

TEST(Receipt, IsOneLineOfExactJson) {
    Receipt one = receipt(0);
    one.units = 3;
    const std::string line = to_line(one);
    EXPECT_THAT(line, HasSubstr(R"("price":"5/2","units":3,"amount":"15/2","model":")"));
    EXPECT_EQ(one.amount().text(), "15/2");
    EXPECT_EQ(parse_receipt(line).value(), one);
    one.units = 4;
    EXPECT_THAT(to_line(one), HasSubstr(R"("amount":"10",)"));
    one.price = {std::numeric_limits<std::int64_t>::max(), 1};
    one.units = std::numeric_limits<std::int64_t>::max();
    EXPECT_EQ(parse_receipt(to_line(one)).value(), one);
    EXPECT_THAT(to_line(one), HasSubstr("\"amount\":\"" + one.amount().text() + "\""));
    one.price.wei = 10'000'000'000;
    one.units = 3'000'000'001;
    EXPECT_THAT(to_line(one), HasSubstr(R"("amount":"30000000010000000000")"));
    std::string text = "x";
    append_line(text, one);
    EXPECT_EQ(text, "x" + to_line(one));
}

TEST(Receipt, OldOnesCanStillBeRead) {
    Receipt old = receipt(0);
    old.version = 1;
    old.parameters = {};
    const std::string zeros(64, '0');
    const std::string line = R"({"id":")" + crypto::hex(old.id) + R"(","at_ms":1700000000000,"payer":"0x01)" +
                             zeros.substr(0, 38) + R"(","payee":"0x02)" + zeros.substr(0, 38) +
                             R"(","work":"text-to-image framegrid/scenes","price":"5/2","units":1,)" +
                             R"("amount":"5/2","model":")" + crypto::hex(old.model) + R"(","input":")" +
                             crypto::hex(old.input) + R"(","output":")" + crypto::hex(old.output) + R"("})";
    EXPECT_EQ(to_line(old), line);
    EXPECT_EQ(parse_receipt(line).value(), old);
    EXPECT_FALSE(parse_receipt(R"({"v":1,)" + line.substr(1)));
    EXPECT_FALSE(parse_receipt(R"({"v":2,)" + line.substr(1))) << "without the parameters";
    Reconciliation books;
    books.add_a(old);
    books.add_b(receipt(0));
    EXPECT_TRUE(books.differences().empty()) << "who is newer says more, and nothing else";
    const auto newer = to_line(receipt(1)) + "\n";
    EXPECT_EQ(read_hour(line + "\n" + newer, [](const Receipt&) {}).value().sum.receipts(), 2U);
}

TEST(Receipt, ParametersHaveOneDigest) {
    const auto text = std::string("6:prompt,7:a \"cat\",4:seed,2:42,5:steps,8:7.500000,");
    const auto digest = crypto::sha256(as_bytes(text));
    EXPECT_EQ(parameters_digest(R"({"prompt":"a \"cat\"","seed":42,"steps":7.5})"), digest);
    EXPECT_EQ(
        parameters_digest(
            R"({ "steps": 75e-1, "model_id":"m", "none":null, "seed":"42", "prompt":"a \"c\u0061t\""})"
        ),
        digest
    );
    for (const char* other :
         {R"({"prompt":"a \"cat\"","seed":43,"steps":7.5})", R"({"prompt":"a \"cat\"","seed":42})",
          R"({"prompt":"a \"cat\"","seed":42,"step":7.5})", R"({"prompt":"a cat","seed":42,"steps":7.5})"}) {
        EXPECT_NE(parameters_digest(other), digest) << other;
    }
    EXPECT_EQ(
        parameters_digest(R"({"list":[1,{"a":true}]})"),
        crypto::sha256(as_bytes(std::string_view(R"(4:list,14:[1,{"a":true}],)")))
    );
    for (const char* none : {"", "{}", R"({"model_id":"m","mask":null})", "[]", "no json"}) {
        EXPECT_EQ(parameters_digest(none), crypto::Hash32{}) << none;
    }
}

TEST(Receipt, AnythingElseIsRefused) {
    const std::string line = to_line(receipt(1));
    for (std::size_t i = 0; i < line.size(); ++i) {
        EXPECT_FALSE(parse_receipt(line.substr(0, i)));
        for (const char other : {'"', 'A', ' ', '-', '\n', '\0'}) {
            std::string changed = line;
            changed[i] = other;
            const auto parsed = parse_receipt(changed);
            EXPECT_TRUE(!parsed || to_line(*parsed) == changed) << changed;
        }
    }
    EXPECT_FALSE(parse_receipt(line + " "));
    EXPECT_THAT(
        parse_receipt(std::string(line).replace(line.find("\"units\":2"), 9, "\"units\":4")).error().message,
        HasSubstr("the amount is not")
    );
    EXPECT_FALSE(check_work(""));
    EXPECT_FALSE(check_work("a\"b"));
    EXPECT_FALSE(check_work(std::string(129, 'a')));
}

TEST(Receipt, HoursHaveNames) {
    EXPECT_EQ(hour_of(0), "1970-01-01T00");
    EXPECT_EQ(hour_of(1'764'223'199'999), "2025-11-27T05");
    EXPECT_EQ(hour_of(1'764'223'200'000), "2025-11-27T06");
    for (const char* good : {"2025-11-27T06", "2025-11-27T06-0001", "2025-11-27T06-9999"}) {
        EXPECT_TRUE(is_hour_name(good)) << good;
    }
    for (const char* bad :
         {"", "2025-11-27", "2025-11-27T6", "2025-11-27T06-", "2025-11-27T06-001", "2025-11-27T06-0000",
          "2025-11-27T06-00010", "2025-11-27T06.0001", "2025-11-27t06", "../../..-..T..", "2025-11-27T0x"}) {
        EXPECT_FALSE(is_hour_name(bad)) << bad;
    }
}

TEST(ReceiptBook, AnHourIsWhatWasSigned) {
    Book book;
    const auto hour = read(book.hour("2026-11-27T06", 0, 5));
    ASSERT_TRUE(hour) << hour.error().message;
    EXPECT_EQ(hour->sum.receipts(), 5U);
    EXPECT_EQ(hour->sum.amount().text(), "75/2");
    EXPECT_EQ(hour->closing->party, book.key.address());
    EXPECT_EQ(hour->digest, book.previous);
}

TEST(ReceiptBook, AnyChangedBitIsFound) {
    Book book;
    const std::string text = book.hour("2026-11-27T06", 0, 3);
    BookCheck good;
    ASSERT_TRUE(good.add(read(text).value(), "2026-11-27T06"));
    for (std::size_t i = 0; i < text.size() * 8; ++i) {
        std::string changed = text;
        changed[i / 8] = static_cast<char>(changed[i / 8] ^ (1 << (i % 8)));
        const auto hour = read(changed);
        BookCheck check;
        const bool accepted =
            hour && check.add(*hour, "2026-11-27T06") && check.party() == book.key.address();
        ASSERT_FALSE(accepted) << "bit " << i << " of " << changed;
    }
}

TEST(ReceiptBook, NoLineAndNoHourCanBeTakenOutPutInOrMoved) {
    Book book;
    const std::array names{"2026-11-27T06", "2026-11-27T07", "2026-11-27T09"};
    std::vector<std::string> texts;
    for (const auto* name : names) {
        texts.push_back(book.hour(name, static_cast<int>(texts.size()) * 10, 4));
    }
    const auto follows = [&](std::vector<std::size_t> order) {
        BookCheck check;
        Result<void> out;
        for (const auto i : order) {
            if (out = check.add(read(texts[i]).value(), names[i]); !out) {
                break;
            }
        }
        return out;
    };
    EXPECT_TRUE(follows({0, 1, 2}));
    EXPECT_THAT(follows({0, 2}).error().message, HasSubstr("one is missing"));
    EXPECT_FALSE(follows({1, 2}));
    EXPECT_FALSE(follows({0, 1, 1}));
    EXPECT_FALSE(BookCheck().add(read(texts[0]).value(), "2026-11-27T05"));

    const auto line_end = texts[0].find('\n') + 1;
    const auto line = texts[0].substr(0, line_end);
    EXPECT_THAT(read(texts[0].substr(line_end)).error().message, HasSubstr("line 4: the receipts before it"));
    EXPECT_FALSE(read(line + texts[0]));
    EXPECT_THAT(read(texts[0] + line).error().message, HasSubstr("line 5: there is more"));
    EXPECT_THAT(read("x\n" + texts[0]).error().message, HasSubstr("line 1"));
    // Torn off in the middle of a line, as a crash leaves it: an open hour.
    const auto torn = read(texts[0].substr(0, line_end + 5));
    ASSERT_TRUE(torn);
    EXPECT_EQ(torn->sum.receipts(), 1U);
    EXPECT_EQ(torn->torn, 5U);
    EXPECT_FALSE(BookCheck().add(*torn, names[0]));
}

TEST(ReceiptBook, SomebodyElsesHourDoesNotContinueABook) {
    Book ours;
    Book theirs{key_of("somebody else"), {}};
    const auto first = read(ours.hour("2026-11-27T06", 0, 1)).value();
    theirs.previous = ours.previous;
    BookCheck check;
    ASSERT_TRUE(check.add(first, "2026-11-27T06"));
    const auto second = read(theirs.hour("2026-11-27T07", 1, 1)).value();
    EXPECT_THAT(check.add(second, "2026-11-27T07").error().message, HasSubstr("not by who signed before"));
}

TEST(Reconciliation, EachDifferenceIsNamed) {
    Reconciliation books;
    for (int i = 0; i < 6; ++i) {
        books.add_a(receipt(i));
    }
    books.add_a(receipt(0));  // twice
    Receipt later = receipt(1);
    later.unix_ms += 5;  // each party's own
    books.add_b(later);
    Receipt dearer = receipt(2);
    dearer.units += 1;
    books.add_b(dearer);
    Receipt other = receipt(3);
    other.output = receipt(4).output;
    books.add_b(other);
    books.add_a(receipt(6));
    Receipt undigested = receipt(6);
    undigested.output = {};
    books.add_b(undigested);
    books.add_a(receipt(7));
    Receipt reworded = receipt(7);
    reworded.parameters = parameters_digest(R"({"prompt":"a dog"})");
    books.add_b(reworded);
    books.add_b(receipt(4));
    books.add_b(receipt(4));
    books.add_b(receipt(9));
    books.add_b(receipt(0));
    std::map<crypto::Hash32, std::string> found;
    for (const auto& one : books.differences()) {
        found[one.id] += std::string(to_string(one.kind)) + " " + one.a.text() + " " + one.b.text() + ";";
    }
    const std::map<crypto::Hash32, std::string> expected{
        {receipt(0).id, "twice_in_a 5/2 0;"}, {receipt(2).id, "amount 15/2 10;"},
        {receipt(3).id, "work 10 10;"},       {receipt(4).id, "twice_in_b 25/2 25/2;"},
        {receipt(5).id, "only_in_a 15 0;"},   {receipt(6).id, "digest 35/2 35/2;"},
        {receipt(7).id, "work 20 20;"},       {receipt(9).id, "only_in_b 0 25;"},
    };
    EXPECT_EQ(found, expected);
    EXPECT_EQ(books.total_a().text(), "185/2");
}

TEST(Reconciliation, EqualBooksHaveNoDifference) {
    Reconciliation books;
    for (int i = 0; i < 100; ++i) {
        books.add_a(receipt(i));
    }
    for (int i = 99; i >= 0; --i) {
        books.add_b(receipt(i));
    }
    EXPECT_TRUE(books.differences().empty());
    EXPECT_EQ(books.total_a(), books.total_b());
}

}  // namespace

TEST(FieldText, IsWhatTheProtocolsFormsCarry) {
    namespace json = boost::json;
    EXPECT_EQ(field_text("a \"cat\""), "a \"cat\"");
    EXPECT_EQ(field_text(7.5), "7.500000");
    EXPECT_EQ(field_text(1e-9), "0.000000");
    EXPECT_EQ(field_text(1e300).size(), 301U + 7U);
    EXPECT_EQ(field_text(42), "42");
    EXPECT_EQ(field_text(true), "true");
    EXPECT_EQ(field_text(json::array{1, "b"}), R"([1,"b"])");
}

}  // namespace framegrid::pay
