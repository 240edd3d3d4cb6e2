// What tokenizers need to know about Unicode, from utf8proc.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <framegrid/base/result.hpp>

namespace framegrid::diffusion {

enum class CharClass : std::uint8_t { kSpace, kLetter, kNumber, kOther };

CharClass classify(std::int32_t code_point);

// Well-formed UTF-8: no surrogates, nothing over U+10FFFF, shortest forms.
bool is_utf8(std::string_view text);

// Takes the first code point off well-formed, non-empty text.
std::int32_t take_code_point(std::string_view& text);

// Composed (NFC), then each character in lower case (full mappings, no context). The text is well-formed
// UTF-8.
std::string compose_and_lower(std::string_view text);

}  // namespace framegrid::diffusion
