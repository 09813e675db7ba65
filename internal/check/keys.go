package check

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"math/big"
)

// key is a public key of an issuer: RFC 7517, RFC 7518.
type key struct {
	ID    string `json:"kid"`
	Type  string `json:"kty"`
	N, E  string // of RSA
	Curve string `json:"crv"`
	X, Y  string // of ECDSA
}

// longestKey bounds how long a verification can take, in bytes of an RSA key.
const longestKey = 1024

// verify checks the signature of a JWT whose header names that algorithm.
func (k key) verify(algorithm string, jwt []byte) error {
	end := bytes.LastIndexByte(jwt, '.')
	signature, err := base64.RawURLEncoding.DecodeString(string(jwt[end+1:]))
	if err != nil || len(algorithm) != 5 {
		return errors.New("the signature cannot be read")
	}
	hash, ok := map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}[algorithm[2:]]
	if !ok {
		return errors.New("its algorithm is not known")
	}
	digest := hash.New()
	digest.Write(jwt[:end])
	sum := digest.Sum(nil)
	switch {
	case algorithm[:2] == "RS" && k.Type == "RSA":
		return k.verifyRSA(hash, sum, signature)
	case algorithm[:2] == "ES" && k.Type == "EC":
		return k.verifyECDSA(sum, signature)
	}
	return errors.New("the key is of another type")
}

func (k key) verifyRSA(hash crypto.Hash, sum, signature []byte) error {
	n, e := number(k.N), number(k.E)
	if len(n) == 0 || len(n) > longestKey || len(e) == 0 || len(e) > 4 {
		return errors.New("the key cannot be read")
	}
	public := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
	if rsa.VerifyPKCS1v15(public, hash, sum, signature) != nil {
		return errors.New("the signature is another one")
	}
	return nil
}

func (k key) verifyECDSA(sum, signature []byte) error {
	curve, ok := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}[k.Curve]
	x, y := number(k.X), number(k.Y)
	if !ok || len(x) == 0 || len(y) == 0 {
		return errors.New("the key cannot be read")
	}
	size := (curve.Params().BitSize + 7) / 8
	if len(x) > size || len(y) > size || len(signature) != 2*size {
		return errors.New("the signature is another one")
	}
	point := make([]byte, 1+2*size)
	point[0] = 4 // uncompressed
	copy(point[1+size-len(x):], x)
	copy(point[1+2*size-len(y):], y)
	public, err := ecdsa.ParseUncompressedPublicKey(curve, point)
	if err != nil {
		return errors.New("the key cannot be read")
	}
	r, s := new(big.Int).SetBytes(signature[:size]), new(big.Int).SetBytes(signature[size:])
	if !ecdsa.Verify(public, sum, r, s) {
		return errors.New("the signature is another one")
	}
	return nil
}

// number decodes a number of a key, nil if it is none.
func number(text string) []byte {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil
	}
	return b
}
