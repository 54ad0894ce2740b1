/**
 * The smallest order of a Hadamard matrix that makes one of order `size` by doubling (Sylvester): 1 for powers of two, else a Paley order.
 * Null where there is none of these, such as for odd sizes.
 */
export function hadamardOrder(size: number): number | null {
  let odd = size
  while (odd % 2 === 0 && odd > 0) odd /= 2
  if (odd === 1) return 1
  for (let order = 4 * odd; order <= size && size % order === 0; order *= 2) if (paleyPrime(order) !== null) return order
  return null
}

/**
 * A Hadamard matrix [order, order] of 1 and -1, row major: H Hᵀ = order · I. Paley's constructions from the squares modulo a prime
 * (J. Math. Phys. 12, 1933). Errors: RangeError for an order that they do not give.
 */
export function hadamardMatrix(order: number): Float64Array {
  if (order === 1) return Float64Array.of(1)
  const prime = paleyPrime(order)
  if (prime === null) throw new RangeError(`Cannot make a Hadamard matrix of order ${order}: expected 1 or an order of Paley's`)
  return prime + 1 === order ? firstPaley(prime) : secondPaley(prime)
}

/**
 * The prime that Paley's first (order = prime + 1, prime = 3 modulo 4) or second construction (order = 2 prime + 2, prime = 1 modulo 4)
 * takes.
 */
function paleyPrime(order: number): number | null {
  if (order % 4 !== 0) return null
  if (isPrime(order - 1)) return order - 1
  const half = order / 2 - 1
  return half % 4 === 1 && isPrime(half) ? half : null
}

function isPrime(n: number): boolean {
  if (n < 2) return false
  for (let divisor = 2; divisor * divisor <= n; divisor++) if (n % divisor === 0) return false
  return true
}

/** I + S, with the conference matrix S of `bordered`, antisymmetric for this prime. */
function firstPaley(prime: number): Float64Array {
  const order = prime + 1
  const matrix = bordered(prime, -1)
  for (let i = 0; i < order; i++) matrix[i * order + i] = 1
  return matrix
}

/** Each element s of the symmetric conference matrix becomes s · [1 1; 1 -1], the zeros of its diagonal [1 -1; -1 -1]. */
function secondPaley(prime: number): Float64Array {
  const half = prime + 1
  const order = 2 * half
  const conference = bordered(prime, 1)
  const matrix = new Float64Array(order * order)
  for (let i = 0; i < half; i++) {
    for (let j = 0; j < half; j++) {
      const block = i === j ? [1, -1, -1, -1] : [1, 1, 1, -1].map((sign) => sign * conference[i * half + j])
      const at = 2 * i * order + 2 * j
      matrix[at] = block[0]
      matrix[at + 1] = block[1]
      matrix[at + order] = block[2]
      matrix[at + order + 1] = block[3]
    }
  }
  return matrix
}

/** The conference matrix [prime + 1, prime + 1]: χ(i - j) of the residues, bordered by ones above and `left` at the left, zero diagonal. */
function bordered(prime: number, left: 1 | -1): Float64Array {
  const order = prime + 1
  const character = new Int8Array(prime).fill(-1)
  for (let i = 1; i < prime; i++) character[(i * i) % prime] = 1
  character[0] = 0
  const matrix = new Float64Array(order * order)
  for (let i = 1; i < order; i++) {
    matrix[i] = 1
    matrix[i * order] = left
    for (let j = 1; j < order; j++) matrix[i * order + j] = character[(i - j + prime) % prime]
  }
  return matrix
}
