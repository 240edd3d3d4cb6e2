// Values of the ledger as columns: bytes as they are, money as decimal digits.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>

#include <SQLiteCpp/SQLiteCpp.h>
#include <sqlite3.h>

#include <framegrid/account/limits.hpp>
#include <framegrid/base/bytes.hpp>
#include <framegrid/base/wei.hpp>

namespace framegrid::ledger_sqlite {

// As if the library had found it: becomes "the ledger is damaged".
[[noreturn]] inline void damaged(const char* what) {
    throw SQLite::Exception(what, SQLITE_CORRUPT);
}

inline void bind_bytes(SQLite::Statement& statement, int index, BytesView bytes) {
    statement.bind(index, bytes.data(), static_cast<int>(bytes.size()));
}
inline void bind_wei(SQLite::Statement& statement, int index, const Uint256& amount) {
    statement.bind(index, amount.str());
}

template <class Array>
Array bytes_at(SQLite::Statement& row, int index) {
    const auto column = row.getColumn(index);
    Array out{};
    if (column.getBytes() != static_cast<int>(out.size())) {
        damaged("a row has the wrong length");
    }
    const auto* bytes = static_cast<const std::uint8_t*>(column.getBlob());
    std::copy(bytes, bytes + out.size(), out.begin());
    return out;
}
inline Uint256 wei_at(SQLite::Statement& row, int index) {
    const auto amount = account::parse_wei(row.getColumn(index).getString(), "amount");
    if (!amount) {
        damaged("an amount is no number");
    }
    return *amount;
}

}  // namespace framegrid::ledger_sqlite
