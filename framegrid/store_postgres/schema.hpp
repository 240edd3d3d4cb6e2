// The tables, and how those of an older version become those of this one.
#pragma once

#include <framegrid/store_postgres/connection.hpp>

namespace framegrid::store_postgres {

// Makes what is missing in the schema "framegrid", one gateway at a time. kIo: also when a newer version of
// the program was there.
Result<void> migrate(Connection& connection);

}  // namespace framegrid::store_postgres
