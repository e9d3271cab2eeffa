<?php
// One draw of everything in PHP that yields what nobody is to foresee, by its name.
const PUBLIC_KEY = <<<'KEY'
-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCrtjjClkwmpAc3FLsfWoGp5glE
oM34Wkj+bRZDJM00W6WSumjCN7sod3JY+2eBvzXi7oqMqHotGXTY9qa/QZUiFACN
2NJbh1Nw1eTc3CClu4E5siKoWH3HYYB82C9JJKz3m//ozQ0S3+0FsLkx9W0hmu5V
yin+3/NwbfupRlbuNwIDAQAB
-----END PUBLIC KEY-----
KEY;
const SIGNING_KEY = <<<'KEY'
-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIHq6wovfkjYgoRVxdM+HUCeqCasNgB3V8K8YanRSEzbVoAoGCCqGSM49
AwEHoUQDQgAEG247wh4tAd8CrTnET9k4BtqUWCaM5lT/J/9dR2ZFYme3qnB9YvOg
MElcCjNJLX69mws/SKo72N2OC/qvQfQq8Q==
-----END EC PRIVATE KEY-----
KEY;
const CERTIFICATE = <<<'KEY'
-----BEGIN CERTIFICATE-----
MIIDETCCAfmgAwIBAgIUIeOmxORoelHdcl5WAQ8FXCiQ2e0wDQYJKoZIhvcNAQEL
BQAwFzEVMBMGA1UEAwwMdGVzdC5leGFtcGxlMCAXDTI2MTEyNzE5MTU1N1oYDzIx
MjYxMTAzMTkxNTU3WjAXMRUwEwYDVQQDDAx0ZXN0LmV4YW1wbGUwggEiMA0GCSqG
SIb3DQEBAQUAA4IBDwAwggEKAoIBAQCeIu84klXjsPVNEhoMownmqGSF7a72y7Pu
f70JGiCEtD5akPUXAtjSoX5Bh8GwVHaxbEVXW53wKe/jNrhlCANijQ784reW4qeH
S49i9TWNdfuwpALKntUDua3f8+Pb/DR1P4MjNgQfh4vJ7Rrj0kHZXdBLKlWOqnA8
ihp4vGdvcipeGJetiCTs197blcyCrrRsm59ae5KofTbGb4iW8hJ/Cfk2XgiX4x94
vJkmK937rZ+Li8bCTg0f8sX45QzTS5NDn+6FXueN5qscWk5fnVH2MLXbd5clFmBq
CoyrU+qOqxaLb3IHZ3jBh6puVg3bzkWvDpIPPJin3vlO8PGq4sp1AgMBAAGjUzBR
MB0GA1UdDgQWBBSCzUHWfE0H9c8SFyBbgosf6rpsSDAfBgNVHSMEGDAWgBSCzUHW
fE0H9c8SFyBbgosf6rpsSDAPBgNVHRMBAf8EBTADAQH/MA0GCSqGSIb3DQEBCwUA
A4IBAQB0ifXC8mLerkKUNXCzrQtx7qsZZ50MGRrt87PvJECB3k/lk0YJqH9L9nX1
yO3BR2p+3BCL6obCaaiZNOGbzjpKzc2CvpyC6AN+ZWTup57+ejfsPw25oumIdDEp
NMSchOX9W9mLCXVAHYzPUYK5am4QN8Rpx9yz0J1zu1ugfd21edzrk/n2zeXEX6kh
0XP7jEFc1cZ/Q+CgtP+795ZPc1YrScxVeBTJMVUMJDmNY+Qvz6MvysBambwCNrly
GVQYFxTXD03mU3TWpiiGQNhM2yNX1YumdrYyf9drREieCDRvlcI+1mtwx/I3mPLz
Nhr+UEmMf1WyKN7xymBvpGKlOjKX
-----END CERTIFICATE-----
KEY;

/** What curl puts between the parts of a form. */
function boundary(): string
{
    $server = stream_socket_server('tcp://127.0.0.1:0');
    $address = stream_socket_get_name($server, false);
    $curl = curl_init("http://$address/");
    curl_setopt($curl, CURLOPT_POSTFIELDS, ['a' => '1']);
    $multi = curl_multi_init();
    curl_multi_add_handle($multi, $curl);
    $peer = null;
    $head = '';
    for ($turn = 0; $turn < 1000 && !str_contains($head, 'boundary='); $turn++) {
        curl_multi_exec($multi, $running);
        $peer ??= @stream_socket_accept($server, 0.001) ?: null;
        if ($peer !== null) {
            stream_set_blocking($peer, false);
            $head .= fread($peer, 8192);
        }
    }
    preg_match('/boundary=(\S+)/', $head, $found);
    return $found[1];
}

/** What OpenSSL encrypts a message with. */
function envelope(): string
{
    $from = tempnam('/tmp', 'random');
    $to = tempnam('/tmp', 'random');
    file_put_contents($from, 'a');
    openssl_cms_encrypt($from, $to, CERTIFICATE, [], 0, OPENSSL_ENCODING_DER, OPENSSL_CIPHER_AES_256_CBC);
    $envelope = file_get_contents($to);
    unlink($from);
    unlink($to);
    return $envelope;
}

function signature(): string
{
    openssl_sign('a', $signature, SIGNING_KEY, OPENSSL_ALGO_SHA256);
    return $signature;
}

function sealed(): string
{
    openssl_seal('a', $sealed, $keys, [PUBLIC_KEY], 'aes-256-cbc', $vector);
    return $sealed . $keys[0] . $vector;
}

function encrypted(): string
{
    openssl_public_encrypt('a', $encrypted, PUBLIC_KEY);
    return $encrypted;
}

function name_of(string $path): string
{
    unlink($path);
    return $path;
}

function session(): string
{
    session_start();
    $id = session_id();
    session_destroy();
    return $id;
}

/** Of a library, whether PHP has a function for it or not. */
function native(string $declaration, Closure $call): string
{
    $library = FFI::cdef($declaration);
    $bytes = $library->new('unsigned char[16]');
    $call($library, $bytes);
    return FFI::string($bytes, 16);
}

$key = openssl_pkey_get_details(openssl_pkey_new(['private_key_type' => OPENSSL_KEYTYPE_EC, 'curve_name' => 'prime256v1']));
$shuffled = range(0, 99);
shuffle($shuffled);
$pair = sodium_crypto_box_keypair();
[, $stream] = sodium_crypto_secretstream_xchacha20poly1305_init_push(str_repeat('k', 32));
$randomizer = new Random\Randomizer();
$engine = static fn (string $name) => (new ("Random\\Engine\\$name"))->generate() . (new ("Random\\Engine\\$name"))->generate();

$draws = [
    'array_rand' => implode(' ', array_rand(range(0, 999), 10)),
    'curl boundary' => boundary(),
    'gcry_create_nonce' => native('void gcry_create_nonce(void *, size_t);', static fn ($library, $bytes) => $library->gcry_create_nonce($bytes, 16)),
    'gcry_randomize nonce' => native('void gcry_randomize(void *, size_t, int);', static fn ($library, $bytes) => $library->gcry_randomize($bytes, 16, 0)),
    'gcry_randomize strong' => native('void gcry_randomize(void *, size_t, int);', static fn ($library, $bytes) => $library->gcry_randomize($bytes, 16, 1)),
    'gmp_random_bits' => gmp_strval(gmp_random_bits(128)),
    'gmp_random_range' => gmp_strval(gmp_random_range(0, gmp_pow(2, 128))),
    'gnutls key' => native('int gnutls_rnd(int, void *, size_t);', static fn ($library, $bytes) => $library->gnutls_rnd(2, $bytes, 16)),
    'gnutls nonce' => native('int gnutls_rnd(int, void *, size_t);', static fn ($library, $bytes) => $library->gnutls_rnd(0, $bytes, 16)),
    'krb5 octets' => native(
        'struct text { int magic; unsigned int length; void *bytes; }; int krb5_c_random_make_octets(void *, struct text *);',
        static function ($library, $bytes) {
            $wanted = $library->new('struct text');
            $wanted->length = 16;
            $wanted->bytes = FFI::addr($bytes[0]);
            $library->krb5_c_random_make_octets(null, FFI::addr($wanted));
        },
    ),
    'lcg_value' => serialize([lcg_value(), lcg_value()]),
    'libc arc4random' => native('void arc4random_buf(void *, size_t);', static fn ($library, $bytes) => $library->arc4random_buf($bytes, 16)),
    'libc mkstemp' => name_of(stream_get_meta_data($file = tmpfile())['uri']),
    'libuuid time' => native('void uuid_generate_time(unsigned char *);', static fn ($library, $bytes) => $library->uuid_generate_time($bytes)),
    'mcrypt_create_iv' => mcrypt_create_iv(16),
    'mongodb id' => (string) new MongoDB\BSON\ObjectId(),
    'mt_rand' => mt_rand() . ' ' . mt_rand(1, 1_000_000),
    'oauth token' => OAuthProvider::generateToken(16),
    'openssl RAND_priv_bytes' => native('int RAND_priv_bytes(unsigned char *, int);', static fn ($library, $bytes) => $library->RAND_priv_bytes($bytes, 16)),
    'openssl_cms_encrypt' => envelope(),
    'openssl_pkey_new' => $key['ec']['d'],
    'openssl_public_encrypt' => encrypted(),
    'openssl_random_pseudo_bytes' => openssl_random_pseudo_bytes(16),
    'openssl_seal' => sealed(),
    'openssl_sign' => signature(),
    'password_hash argon2i' => password_hash('a', PASSWORD_ARGON2I, ['memory_cost' => 64, 'time_cost' => 1]),
    'password_hash argon2id' => password_hash('a', PASSWORD_ARGON2ID, ['memory_cost' => 64, 'time_cost' => 1]),
    'password_hash bcrypt' => password_hash('a', PASSWORD_BCRYPT, ['cost' => 4]),
    'rand' => rand() . ' ' . rand(1, 1_000_000),
    'random engine Mt19937' => $engine('Mt19937'),
    'random engine PcgOneseq128XslRr64' => $engine('PcgOneseq128XslRr64'),
    'random engine Secure' => $engine('Secure'),
    'random engine Xoshiro256StarStar' => $engine('Xoshiro256StarStar'),
    'random_bytes' => random_bytes(16),
    'random_int' => (string) random_int(0, PHP_INT_MAX),
    'randomizer getBytes' => $randomizer->getBytes(16),
    'randomizer shuffleArray' => implode(' ', $randomizer->shuffleArray(range(0, 99))),
    'session_create_id' => session_create_id(),
    'session_start' => session(),
    'shuffle' => implode(' ', $shuffled),
    'sodium box' => $pair,
    'sodium kx' => sodium_crypto_kx_keypair(),
    'sodium pwhash' => sodium_crypto_pwhash_str('a', 1, 8192),
    'sodium ristretto' => sodium_crypto_core_ristretto255_random(),
    'sodium seal' => sodium_crypto_box_seal('a', sodium_crypto_box_publickey($pair)),
    'sodium secretbox' => sodium_crypto_secretbox_keygen(),
    'sodium secretstream' => $stream,
    'sodium sign' => sodium_crypto_sign_keypair(),
    'str_shuffle' => str_shuffle('abcdefghijklmnopqrstuvwxyz0123456789'),
    'tempnam' => name_of(tempnam('/tmp', 'random')),
    'uniqid' => uniqid(),
    'uniqid more' => uniqid('', true),
    'uuid random' => uuid_create(UUID_TYPE_RANDOM),
    'uuid time' => uuid_create(UUID_TYPE_TIME),
];
// A line each, with what may be any bytes in an alphabet of its own.
foreach ($draws as $name => $number) {
    echo $name, "\t", bin2hex($number), "\n";
}
