// Amounts of money and the other 256-bit numbers of the network.
#pragma once

#include <boost/multiprecision/cpp_int.hpp>

namespace framegrid {

using Uint256 = boost::multiprecision::uint256_t;
// An amount of money; never negative. Sums wrap: compare before you add.
using Wei = Uint256;

}  // namespace framegrid
