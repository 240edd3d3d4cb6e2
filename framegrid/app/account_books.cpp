#include <framegrid/app/account_books.hpp>

#include <cstdio>
#include <memory>
#include <utility>

#include <boost/json.hpp>

#include <framegrid/app/session.hpp>
#include <framegrid/pay/receipt_book.hpp>
#include <framegrid/receipts_fs/receipt_files.hpp>

namespace framegrid::app {

namespace {

namespace json = boost::json;

struct BookOptions {
    std::string a;
    std::string b;
    std::string party;
};

std::string party_text(const std::optional<crypto::Address>& party) {
    return party ? crypto::checksum_address(*party) : "";
}

Result<int> verify(const CommonOptions& common, const BookOptions& options) {
    FG_TRY(report, receipts_fs::check_book(options.a, [](const pay::Receipt&) {}));
    if (!options.party.empty()) {
        FG_TRY(party, crypto::parse_address(options.party));
        if (report.party != party) {
            return fail(
                Errc::kForbidden,
                "the book is signed by " +
                    (report.party ? party_text(report.party) : std::string("nobody yet")),
                "party"
            );
        }
    }
    if (common.json) {
        const json::object out{{"object", "receipts"},           {"party", party_text(report.party)},
                               {"hours", report.hours},          {"receipts", report.receipts},
                               {"amount", report.amount.text()}, {"open_receipts", report.open_receipts}};
        std::printf("%s\n", json::serialize(out).c_str());
        return kExitOk;
    }
    if (report.party || report.open_receipts == 0) {
        std::printf(
            "%llu receipts over %s wei in %llu hours are as %s signed them\n",
            static_cast<unsigned long long>(report.receipts), report.amount.text().c_str(),
            static_cast<unsigned long long>(report.hours),
            report.party ? party_text(report.party).c_str() : "nobody"
        );
    }
    if (report.open_receipts > 0) {
        std::printf(
            "%llu %s of an hour that is not closed: nobody has signed them yet\n",
            static_cast<unsigned long long>(report.open_receipts), report.party ? "more are" : "receipts are"
        );
    }
    return kExitOk;
}

Result<int> reconcile(const CommonOptions& common, const BookOptions& options) {
    pay::Reconciliation books;
    FG_TRY(a, receipts_fs::check_book(options.a, [&](const pay::Receipt& one) { books.add_a(one); }));
    FG_TRY(b, receipts_fs::check_book(options.b, [&](const pay::Receipt& one) { books.add_b(one); }));
    const auto differences = books.differences();
    if (common.json) {
        json::array rows;
        for (const auto& one : differences) {
            rows.push_back(json::object{
                {"id", crypto::hex(one.id)},
                {"difference", pay::to_string(one.kind)},
                {"a", one.a.text()},
                {"b", one.b.text()}
            });
        }
        const json::object out{
            {"object", "reconciliation"},
            {"a", json::object{{"receipts", a.receipts + a.open_receipts}, {"amount", books.total_a().text()}}
            },
            {"b", json::object{{"receipts", b.receipts + b.open_receipts}, {"amount", books.total_b().text()}}
            },
            {"differences", std::move(rows)}
        };
        std::printf("%s\n", json::serialize(out).c_str());
        return differences.empty() ? kExitOk : kExitFailed;
    }
    for (const auto& one : differences) {
        std::printf(
            "%s  %-10s  a %s  b %s\n", crypto::hex(one.id).c_str(),
            std::string(pay::to_string(one.kind)).c_str(), one.a.text().c_str(), one.b.text().c_str()
        );
    }
    std::printf(
        "a: %llu receipts over %s wei; b: %llu over %s; %zu differences\n",
        static_cast<unsigned long long>(a.receipts + a.open_receipts), books.total_a().text().c_str(),
        static_cast<unsigned long long>(b.receipts + b.open_receipts), books.total_b().text().c_str(),
        differences.size()
    );
    return differences.empty() ? kExitOk : kExitFailed;
}

using BookAction = Result<int> (*)(const CommonOptions&, const BookOptions&);

}  // namespace

void add_account_book_commands(CLI::App& account, const CommonOptions& common, Run& run) {
    auto options = std::make_shared<BookOptions>();
    const auto add = [&](const char* name, const char* what, BookAction action) {
        auto* sub = account.add_subcommand(name, what);
        sub->callback([options, &common, &run, action] {
            run = [options, &common, action] {
                auto done = action(common, *options);
                if (!done) {
                    print_error(common, done.error());
                    return kExitFailed;
                }
                return *done;
            };
        });
        return sub;
    };
    auto* verified =
        add("verify", "check every receipt and signature of a directory, without a network", &verify);
    verified->add_option("DIR", options->a, "a party's receipts")->required();
    verified->add_option("--party", options->party, "who must have signed them: an address");
    auto* reconciled = add("reconcile", "compare two parties' receipts, job by job", &reconcile);
    reconciled->add_option("A", options->a, "a directory of receipts, for example the gateway's")->required();
    reconciled->add_option("B", options->b, "another one, for example its orchestrator's")->required();
}

}  // namespace framegrid::app
