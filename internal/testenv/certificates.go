package testenv

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Files of the certificates in a server's data directory. MySQL would make some of its own there, but without a name to verify.
const (
	caFile         = "ca.pem"
	serverCertFile = "server-cert.pem"
	serverKeyFile  = "server-key.pem"
	clientCertFile = "client-cert.pem"
	clientKeyFile  = "client-key.pem"
)

// makeCertificates writes a throw-away authority with one certificate for the server, good for 127.0.0.1 and localhost, and one
// for a client.
func makeCertificates(dir string) error {
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "testenv authority"},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	caKey, err := certificate(dir, caFile, "", ca, ca, nil)
	if err != nil {
		return err
	}
	server := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "testenv server"},
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if _, err := certificate(dir, serverCertFile, serverKeyFile, server, ca, caKey); err != nil {
		return err
	}
	client := &x509.Certificate{
		SerialNumber: big.NewInt(3), Subject: pkix.Name{CommonName: "testenv client"},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	_, err = certificate(dir, clientCertFile, clientKeyFile, client, ca, caKey)
	return err
}

// certificate writes a certificate signed by caKey (by itself if nil), and its key unless keyFile is empty.
func certificate(dir, certFile, keyFile string, cert, ca *x509.Certificate, caKey *ecdsa.PrivateKey) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	if caKey == nil {
		caKey = key
	}
	// Ten years: the prepared data directory is kept for as long as its version is in use.
	cert.NotBefore, cert.NotAfter = time.Now().Add(-time.Hour), time.Now().AddDate(10, 0, 0)
	der, err := x509.CreateCertificate(rand.Reader, cert, ca, &key.PublicKey, caKey)
	if err != nil {
		return nil, fmt.Errorf("sign a certificate: %w", err)
	}
	if err := writePEM(filepath.Join(dir, certFile), "CERTIFICATE", der); err != nil || keyFile == "" {
		return key, err
	}
	der, err = x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode a key: %w", err)
	}
	return key, writePEM(filepath.Join(dir, keyFile), "PRIVATE KEY", der)
}

func writePEM(path, kind string, der []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}

// CAPath is the certificate that signed the server's own, which is good for 127.0.0.1 and localhost.
func (m *MySQL) CAPath() string { return filepath.Join(m.dataDir, caFile) }

// ClientCertPath and ClientKeyPath are for accounts that REQUIRE X509.
func (m *MySQL) ClientCertPath() string { return filepath.Join(m.dataDir, clientCertFile) }

// ClientKeyPath is the key of ClientCertPath.
func (m *MySQL) ClientKeyPath() string { return filepath.Join(m.dataDir, clientKeyFile) }

// TLSConfig verifies this server and nothing else, and presents the client certificate if asked.
func (m *MySQL) TLSConfig() (*tls.Config, error) { return tlsConfig(m.dataDir) }

// tlsConfig is for clients of a server whose certificates are in dir.
func tlsConfig(dir string) (*tls.Config, error) {
	ca, err := os.ReadFile(filepath.Join(dir, caFile))
	if err != nil {
		return nil, fmt.Errorf("testenv: read an authority: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("testenv: %s holds no certificate", filepath.Join(dir, caFile))
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, clientCertFile), filepath.Join(dir, clientKeyFile))
	if err != nil {
		return nil, fmt.Errorf("testenv: read a client certificate: %w", err)
	}
	return &tls.Config{RootCAs: pool, ServerName: "127.0.0.1", Certificates: []tls.Certificate{pair}}, nil
}
