"""Farandole's counter-based random numbers in numpy: the C side (src/base) gives the same bits.

    G = 0x9E3779B97F4A7C15                                 all arithmetic modulo 2^64
    mix64(z)                        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9
                                    z = (z ^ (z >> 27)) * 0x94D049BB133111EB
                                    z =  z ^ (z >> 31)
    key(seed, purpose, epoch, sample)  k = mix64(seed + G)
                                    k = mix64(k + G * (purpose + 1))
                                    k = mix64(k + G * (epoch + 1))
                                    k = mix64(k + G * (sample + 1))
    bits(key, i)                    mix64(key + G * (i + 1))
    unit(key, i)                    (bits >> 40) * 2^-24     exact in float32, in [0, 1)

`python3 rng.py` prints the test vectors of README.md.
"""
import numpy as np

G = 0x9E3779B97F4A7C15
M1 = 0xBF58476D1CE4E5B9
M2 = 0x94D049BB133111EB
MASK = (1 << 64) - 1
CHUNK = 1 << 15  # elements worked on at a time: two such arrays of 64 bits stay in a cache


def mix64(z):
    """One Python integer."""
    z = ((z ^ (z >> 30)) * M1) & MASK
    z = ((z ^ (z >> 27)) * M2) & MASK
    return z ^ (z >> 31)


def key(seed, purpose, epoch, sample):
    k = mix64((seed + G) & MASK)
    for part in (purpose, epoch, sample):
        k = mix64((k + G * (part + 1)) & MASK)
    return k


_RAMP = (np.arange(CHUNK, dtype=np.uint64) + np.uint64(1)) * np.uint64(G)


def bits_chunks(k, count):
    """Yield (first index, uint64 array) over i = 0..count-1. The array is reused: copy what is kept."""
    z, t = np.empty(CHUNK, np.uint64), np.empty(CHUNK, np.uint64)
    for start in range(0, count, CHUNK):
        n = min(CHUNK, count - start)
        a, b = z[:n], t[:n]
        np.add(_RAMP[:n], np.uint64((k + G * start) & MASK), out=a)
        for shift, factor in ((30, M1), (27, M2)):
            np.right_shift(a, np.uint64(shift), out=b)
            np.bitwise_xor(a, b, out=a)
            np.multiply(a, np.uint64(factor), out=a)
        np.right_shift(a, np.uint64(31), out=b)
        np.bitwise_xor(a, b, out=a)
        yield start, a


def unit(k, count):
    """unit(key, i) for i = 0..count-1 as float64 (each value is also exact in float32)."""
    out = np.empty(count, np.float64)
    for start, b in bits_chunks(k, count):
        out[start:start + b.size] = (b >> np.uint64(40)).astype(np.float64) * 2.0 ** -24
    return out


def project(k, values):
    """Sum of sign(i) * values[i], sign -1 where the top bit of bits(key, i) is set, else +1. float64."""
    v = np.ascontiguousarray(values, dtype=np.float64).reshape(-1)
    total = 0.0
    for start, b in bits_chunks(k, v.size):
        sign = 1.0 - 2.0 * (b >> np.uint64(63)).astype(np.float64)
        total += float(np.dot(sign, v[start:start + b.size]))
    return total


def _self_test():
    for k in (0, 1, MASK, key(7, 1, 0, 3)):
        n = CHUNK + 5
        got = np.concatenate([b.copy() for _, b in bits_chunks(k, n)])
        for i in (0, 1, CHUNK - 1, CHUNK, n - 1):
            assert int(got[i]) == mix64((k + G * (i + 1)) & MASK)
        u = unit(k, n)
        assert u.min() >= 0 and u.max() < 1 and (u.astype(np.float32) == u).all()
        assert u[3] == (int(got[3]) >> 40) / 2 ** 24


if __name__ == "__main__":
    _self_test()
    for parts in ((0, 0, 0, 0), (1, 0, 0, 0), (1, 1, 0, 2), (7, 4, 160, 15), (MASK, MASK - 1, 5, 1 << 40)):
        k = key(*parts)
        b = [mix64((k + G * (i + 1)) & MASK) for i in (0, 1, (1 << 33) + 1)]
        print("key(%s) = 0x%016x" % (", ".join("0x%x" % p if p > 1 << 20 else str(p) for p in parts), k))
        print("    bits i=0 0x%016x  i=1 0x%016x  i=2^33+1 0x%016x  unit i=0 %.9g" % (*b, (b[0] >> 40) / 2 ** 24))
