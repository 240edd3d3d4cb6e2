#!/usr/bin/env python3
"""Writes an assembly file through which a static library reaches shared libraries that are loaded on demand.

usage: lazy_symbols.py --nm NM --prefix NAME --output FILE.S ARCHIVE SHARED_LIBRARY...

For every function that ARCHIVE needs and one of the SHARED_LIBRARIES defines, the output has a symbol of that name which
jumps through a table, and the names in the table's order. The first call of any of them calls <NAME>_load(), which fills
the table (media_ffmpeg/load.cpp). x86-64 and aarch64.
"""

import argparse
import pathlib
import subprocess

X86 = """    .globl {name}
    .hidden {name}
    .type {name}, @function
{name}:
    jmp *{prefix}_table+{offset}(%rip)
1:  pushq ${index}
    jmp {prefix}_slow
"""
# The first call of anything: keeps every argument register, has the table filled, and goes on to the real function.
X86_SLOW = """{prefix}_slow:
    pushq %rax
    pushq %rdi
    pushq %rsi
    pushq %rdx
    pushq %rcx
    pushq %r8
    pushq %r9
    subq $136, %rsp
    movups %xmm0, (%rsp)
    movups %xmm1, 16(%rsp)
    movups %xmm2, 32(%rsp)
    movups %xmm3, 48(%rsp)
    movups %xmm4, 64(%rsp)
    movups %xmm5, 80(%rsp)
    movups %xmm6, 96(%rsp)
    movups %xmm7, 112(%rsp)
    call {prefix}_load
    movups (%rsp), %xmm0
    movups 16(%rsp), %xmm1
    movups 32(%rsp), %xmm2
    movups 48(%rsp), %xmm3
    movups 64(%rsp), %xmm4
    movups 80(%rsp), %xmm5
    movups 96(%rsp), %xmm6
    movups 112(%rsp), %xmm7
    addq $136, %rsp
    popq %r9
    popq %r8
    popq %rcx
    popq %rdx
    popq %rsi
    popq %rdi
    popq %rax
    popq %r11
    leaq {prefix}_table(%rip), %r10
    jmp *(%r10,%r11,8)
"""
ARM = """    .globl {name}
    .hidden {name}
    .type {name}, %function
{name}:
    adrp x16, {prefix}_table+{offset}
    ldr x16, [x16, #:lo12:{prefix}_table+{offset}]
    br x16
1:  mov x17, #{index}
    b {prefix}_slow
"""
ARM_SLOW = """{prefix}_slow:
    stp x29, x30, [sp, #-240]!
    stp x0, x1, [sp, #16]
    stp x2, x3, [sp, #32]
    stp x4, x5, [sp, #48]
    stp x6, x7, [sp, #64]
    stp x8, x17, [sp, #80]
    stp q0, q1, [sp, #96]
    stp q2, q3, [sp, #128]
    stp q4, q5, [sp, #160]
    stp q6, q7, [sp, #192]
    bl {prefix}_load
    ldp q6, q7, [sp, #192]
    ldp q4, q5, [sp, #160]
    ldp q2, q3, [sp, #128]
    ldp q0, q1, [sp, #96]
    ldp x8, x17, [sp, #80]
    ldp x6, x7, [sp, #64]
    ldp x4, x5, [sp, #48]
    ldp x2, x3, [sp, #32]
    ldp x0, x1, [sp, #16]
    ldp x29, x30, [sp], #240
    adrp x16, {prefix}_table
    add x16, x16, #:lo12:{prefix}_table
    ldr x16, [x16, x17, lsl #3]
    br x16
"""


def symbols(nm, arguments, kinds):
    lines = subprocess.run([nm, *arguments], check=True, capture_output=True, text=True).stdout.splitlines()
    found = set()
    for fields in (line.split() for line in lines):
        if len(fields) >= 2 and fields[-2] in kinds:
            found.add(fields[-1].split("@")[0])
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nm", required=True)
    parser.add_argument("--prefix", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("archive")
    parser.add_argument("shared", nargs="+")
    options = parser.parse_args()
    needed = symbols(options.nm, [options.archive], {"U"})
    functions, data = set(), set()
    for library in options.shared:
        functions |= symbols(options.nm, ["-D", "--defined-only", library], {"T", "W", "i"})
        data |= symbols(options.nm, ["-D", "--defined-only", library], {"B", "D", "R", "V"})
    if needed & data:
        raise SystemExit(f"only functions can be reached lazily, not {sorted(needed & data)}")
    names = sorted(needed & functions)
    fields = [{"name": name, "prefix": options.prefix, "index": i, "offset": 8 * i} for i, name in enumerate(names)]
    out = ["// Made by tools/lazy_symbols.py.", "#if defined(__x86_64__)", "    .text"]
    out += [X86.format(**field).replace("1:", f".Lslow{field['index']}:") for field in fields]
    out += [X86_SLOW.format(prefix=options.prefix), "#elif defined(__aarch64__)", "    .text"]
    out += [ARM.format(**field).replace("1:", f".Lslow{field['index']}:") for field in fields]
    out += [ARM_SLOW.format(prefix=options.prefix), "#else", '#error "no trampolines for this processor"', "#endif"]
    out += ["    .data", "    .balign 8", f"    .globl {options.prefix}_table", f"{options.prefix}_table:"]
    out += [f"    .quad .Lslow{i}" for i in range(len(names))]
    out += ["    .section .rodata", f"    .globl {options.prefix}_names", f"{options.prefix}_names:"]
    out += [f'    .asciz "{name}"' for name in names] + ["    .byte 0"]
    out += ['    .section .note.GNU-stack,"",%progbits', ""]
    pathlib.Path(options.output).write_text("\n".join(out))


if __name__ == "__main__":
    main()
