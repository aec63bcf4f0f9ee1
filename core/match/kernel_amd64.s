//go:build amd64 && !purego

#include "textflag.h"

// A row of a block is 128 bytes (32 columns), a row of queries 32 bytes (8 lanes), the scores
// of a query 128 bytes. Predicate 13 of a comparison is "greater or equal", false for NaN.

// func cpuid(leaf, sub uint32) (a, b, c, d uint32)
TEXT ·cpuid(SB), NOSPLIT, $0-24
	MOVL leaf+0(FP), AX
	MOVL sub+4(FP), CX
	CPUID
	MOVL AX, a+8(FP)
	MOVL BX, b+12(FP)
	MOVL CX, c+16(FP)
	MOVL DX, d+20(FP)
	RET

// func xgetbv() (low, high uint32)
TEXT ·xgetbv(SB), NOSPLIT, $0-8
	XORL CX, CX
	XGETBV
	MOVL AX, low+0(FP)
	MOVL DX, high+4(FP)
	RET

// func oneAVX512(values *float32, bias *[32]float32, query *float32, limit float32, rows int, s *scores, h *hits) uint32
//
// Four rows a turn, each with sums of its own, so that no step waits for the one before.
TEXT ·oneAVX512(SB), NOSPLIT, $0-60
	MOVQ values+0(FP), SI
	MOVQ bias+8(FP), BX
	MOVQ query+16(FP), DI
	MOVQ rows+32(FP), CX
	MOVQ s+40(FP), R8
	MOVQ h+48(FP), R9
	VMOVUPS (BX), Z0
	VMOVUPS 64(BX), Z1
	VPXORQ Z2, Z2, Z2
	VPXORQ Z3, Z3, Z3
	VPXORQ Z4, Z4, Z4
	VPXORQ Z5, Z5, Z5
	VPXORQ Z6, Z6, Z6
	VPXORQ Z7, Z7, Z7
loop:
	VBROADCASTSS (DI), Z8
	VBROADCASTSS 4(DI), Z9
	VBROADCASTSS 8(DI), Z10
	VBROADCASTSS 12(DI), Z11
	PREFETCHT0 4096(SI)
	PREFETCHT0 4160(SI)
	PREFETCHT0 4224(SI)
	PREFETCHT0 4288(SI)
	PREFETCHT0 4352(SI)
	PREFETCHT0 4416(SI)
	PREFETCHT0 4480(SI)
	PREFETCHT0 4544(SI)
	VFMADD231PS (SI), Z8, Z0
	VFMADD231PS 64(SI), Z8, Z1
	VFMADD231PS 128(SI), Z9, Z2
	VFMADD231PS 192(SI), Z9, Z3
	VFMADD231PS 256(SI), Z10, Z4
	VFMADD231PS 320(SI), Z10, Z5
	VFMADD231PS 384(SI), Z11, Z6
	VFMADD231PS 448(SI), Z11, Z7
	ADDQ $512, SI
	ADDQ $16, DI
	SUBQ $4, CX
	JNZ  loop
	VADDPS Z2, Z0, Z0
	VADDPS Z6, Z4, Z4
	VADDPS Z4, Z0, Z0
	VADDPS Z3, Z1, Z1
	VADDPS Z7, Z5, Z5
	VADDPS Z5, Z1, Z1
	VMOVUPS Z0, (R8)
	VMOVUPS Z1, 64(R8)
	VBROADCASTSS limit+24(FP), Z8
	VCMPPS $13, Z8, Z0, K1
	VCMPPS $13, Z8, Z1, K2
	KMOVW K1, AX
	KMOVW K2, DX
	SHLL $16, DX
	ORL  DX, AX
	MOVL AX, (R9)
	MOVL AX, ret+56(FP)
	VZEROUPPER
	RET

// func oneAVX2(values *float32, bias *[32]float32, query *float32, limit float32, rows int, s *scores, h *hits) uint32
//
// Two rows a turn, each with sums of its own.
TEXT ·oneAVX2(SB), NOSPLIT, $0-60
	MOVQ values+0(FP), SI
	MOVQ bias+8(FP), BX
	MOVQ query+16(FP), DI
	MOVQ rows+32(FP), CX
	MOVQ s+40(FP), R8
	MOVQ h+48(FP), R9
	VMOVUPS (BX), Y0
	VMOVUPS 32(BX), Y1
	VMOVUPS 64(BX), Y2
	VMOVUPS 96(BX), Y3
	VXORPS Y4, Y4, Y4
	VXORPS Y5, Y5, Y5
	VXORPS Y6, Y6, Y6
	VXORPS Y7, Y7, Y7
loop:
	VBROADCASTSS (DI), Y8
	VBROADCASTSS 4(DI), Y9
	PREFETCHT0 4096(SI)
	PREFETCHT0 4160(SI)
	PREFETCHT0 4224(SI)
	PREFETCHT0 4288(SI)
	VFMADD231PS (SI), Y8, Y0
	VFMADD231PS 32(SI), Y8, Y1
	VFMADD231PS 64(SI), Y8, Y2
	VFMADD231PS 96(SI), Y8, Y3
	VFMADD231PS 128(SI), Y9, Y4
	VFMADD231PS 160(SI), Y9, Y5
	VFMADD231PS 192(SI), Y9, Y6
	VFMADD231PS 224(SI), Y9, Y7
	ADDQ $256, SI
	ADDQ $8, DI
	SUBQ $2, CX
	JNZ  loop
	VADDPS Y4, Y0, Y0
	VADDPS Y5, Y1, Y1
	VADDPS Y6, Y2, Y2
	VADDPS Y7, Y3, Y3
	VMOVUPS Y0, (R8)
	VMOVUPS Y1, 32(R8)
	VMOVUPS Y2, 64(R8)
	VMOVUPS Y3, 96(R8)
	VBROADCASTSS limit+24(FP), Y8
	VCMPPS $13, Y8, Y0, Y0
	VCMPPS $13, Y8, Y1, Y1
	VCMPPS $13, Y8, Y2, Y2
	VCMPPS $13, Y8, Y3, Y3
	VMOVMSKPS Y0, AX
	VMOVMSKPS Y1, BX
	VMOVMSKPS Y2, CX
	VMOVMSKPS Y3, DX
	SHLL $8, BX
	SHLL $16, CX
	SHLL $24, DX
	ORL  BX, AX
	ORL  DX, CX
	ORL  CX, AX
	MOVL AX, (R9)
	MOVL AX, ret+56(FP)
	VZEROUPPER
	RET

// LANE512 adds a row to the sums A and B of one lane.
#define LANE512(at, T, A, B) \
	VBROADCASTSS at(DI), T   \
	VFMADD231PS  Z16, T, A   \
	VFMADD231PS  Z17, T, B

// ROW512 is one row of the block against all lanes.
#define ROW512(row, q) \
	VMOVUPS (row+0)(SI), Z16 \
	VMOVUPS (row+64)(SI), Z17 \
	LANE512((q+0), Z18, Z0, Z1) \
	LANE512((q+4), Z19, Z2, Z3) \
	LANE512((q+8), Z20, Z4, Z5) \
	LANE512((q+12), Z21, Z6, Z7) \
	LANE512((q+16), Z22, Z8, Z9) \
	LANE512((q+20), Z23, Z10, Z11) \
	LANE512((q+24), Z24, Z12, Z13) \
	LANE512((q+28), Z25, Z14, Z15)

// END512 stores a lane's scores and compares them with its limit.
#define END512(lane, A, B) \
	VMOVUPS      A, (lane*128)(R8)    \
	VMOVUPS      B, (lane*128+64)(R8) \
	VBROADCASTSS (lane*4)(R10), Z16   \
	VCMPPS       $13, Z16, A, K1      \
	VCMPPS       $13, Z16, B, K2      \
	KMOVW        K1, AX               \
	KMOVW        K2, DX               \
	SHLL         $16, DX              \
	ORL          DX, AX               \
	MOVL         AX, (lane*4)(R9)     \
	ORL          AX, R11

// func eightAVX512(values *float32, bias *[32]float32, queries *float32, limits *[8]float32, rows int, s *scores, h *hits) uint32
//
// Sixteen sums stay in registers; a row of the block and one number of each query feed them.
TEXT ·eightAVX512(SB), NOSPLIT, $0-60
	MOVQ values+0(FP), SI
	MOVQ bias+8(FP), BX
	MOVQ queries+16(FP), DI
	MOVQ limits+24(FP), R10
	MOVQ rows+32(FP), CX
	MOVQ s+40(FP), R8
	MOVQ h+48(FP), R9
	XORL R11, R11
	VMOVUPS (BX), Z0
	VMOVUPS 64(BX), Z1
	VMOVAPS Z0, Z2
	VMOVAPS Z1, Z3
	VMOVAPS Z0, Z4
	VMOVAPS Z1, Z5
	VMOVAPS Z0, Z6
	VMOVAPS Z1, Z7
	VMOVAPS Z0, Z8
	VMOVAPS Z1, Z9
	VMOVAPS Z0, Z10
	VMOVAPS Z1, Z11
	VMOVAPS Z0, Z12
	VMOVAPS Z1, Z13
	VMOVAPS Z0, Z14
	VMOVAPS Z1, Z15
loop:
	ROW512(0, 0)
	ROW512(128, 32)
	ADDQ $256, SI
	ADDQ $64, DI
	SUBQ $2, CX
	JNZ  loop
	END512(0, Z0, Z1)
	END512(1, Z2, Z3)
	END512(2, Z4, Z5)
	END512(3, Z6, Z7)
	END512(4, Z8, Z9)
	END512(5, Z10, Z11)
	END512(6, Z12, Z13)
	END512(7, Z14, Z15)
	MOVL R11, ret+56(FP)
	VZEROUPPER
	RET

// LANE256 adds half a row to the sums A and B of one lane.
#define LANE256(at, T, A, B) \
	VBROADCASTSS at(DI), T   \
	VFMADD231PS  Y8, T, A    \
	VFMADD231PS  Y9, T, B

// ROW256 is half a row of the block against four lanes.
#define ROW256(row, q) \
	VMOVUPS (row+0)(SI), Y8  \
	VMOVUPS (row+32)(SI), Y9 \
	LANE256((q+0), Y10, Y0, Y1) \
	LANE256((q+4), Y11, Y2, Y3) \
	LANE256((q+8), Y12, Y4, Y5) \
	LANE256((q+12), Y13, Y6, Y7)

// END256 stores a lane's sixteen scores and compares them with its limit. CL is the first bit.
#define END256(lane, A, B) \
	VMOVUPS      A, (lane*128)(R8)    \
	VMOVUPS      B, (lane*128+32)(R8) \
	VBROADCASTSS (lane*4)(R10), Y8    \
	VCMPPS       $13, Y8, A, A        \
	VCMPPS       $13, Y8, B, B        \
	VMOVMSKPS    A, AX                \
	VMOVMSKPS    B, DX                \
	SHLL         $8, DX               \
	ORL          DX, AX               \
	SHLL         CL, AX               \
	ORL          AX, (lane*4)(R9)     \
	ORL          AX, R11

// QUAD256 puts four lanes, of which the first is in DI, R8, R9 and R10, through sixteen columns.
#define QUAD256(name) \
	MOVQ    R12, SI     \
	MOVQ    R13, CX     \
	VMOVUPS (BX), Y0    \
	VMOVUPS 32(BX), Y1  \
	VMOVAPS Y0, Y2      \
	VMOVAPS Y1, Y3      \
	VMOVAPS Y0, Y4      \
	VMOVAPS Y1, Y5      \
	VMOVAPS Y0, Y6      \
	VMOVAPS Y1, Y7      \
name:                   \
	ROW256(0, 0)        \
	ROW256(128, 32)     \
	ADDQ    $256, SI    \
	ADDQ    $64, DI     \
	SUBQ    $2, CX      \
	JNZ     name        \
	MOVL    R15, CX     \
	END256(0, Y0, Y1)   \
	END256(1, Y2, Y3)   \
	END256(2, Y4, Y5)   \
	END256(3, Y6, Y7)

// func eightAVX2(values *float32, bias *[32]float32, queries *float32, limits *[8]float32, rows int, s *scores, h *hits) uint32
//
// Twice sixteen columns, each against twice four lanes: eight sums at a time.
TEXT ·eightAVX2(SB), NOSPLIT, $0-60
	MOVQ values+0(FP), R12
	MOVQ bias+8(FP), BX
	MOVQ rows+32(FP), R13
	MOVQ s+40(FP), R8
	MOVQ h+48(FP), R9
	MOVQ limits+24(FP), R10
	XORL R11, R11
	XORL R15, R15
	VXORPS Y0, Y0, Y0
	VMOVUPS Y0, (R9)
half:
	MOVQ queries+16(FP), DI
	QUAD256(first)
	MOVQ queries+16(FP), DI
	ADDQ $16, DI
	ADDQ $512, R8
	ADDQ $16, R9
	ADDQ $16, R10
	QUAD256(second)
	ADDQ $64, R12
	ADDQ $64, BX
	SUBQ $448, R8
	SUBQ $16, R9
	SUBQ $16, R10
	ADDL $16, R15
	CMPL R15, $32
	JLT  half
	MOVL R11, ret+56(FP)
	VZEROUPPER
	RET
