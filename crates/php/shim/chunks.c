/*
 * Chunks for PHP's heap that stay mapped, for a worker that is put back after each request (docs/fresh.md).
 *
 * PHP takes its memory from the kernel in chunks of 2 MiB and gives all but the first back when a request ends, or soon after. A worker that is put back
 * would map, fault in and unmap the same chunks in each request, and each of these is a sign that more than usual has to be looked at. So this
 * program has an mmap and a munmap of its own, which the C library's callers find first: what libphp asks for in the size of a chunk comes from here, as long as there is some, and
 * everything else goes to the kernel. Of what PHP gets only the first page is zeros, where it keeps its list of pages; it takes none of the rest for zeros, and finds bytes of
 * earlier requests of the same worker there, as in the free part of its first chunk. Nothing of a chunk is in use between two requests, unless PHP holds it back for later (hostel_php_free_chunks). Small files are read and not mapped.
 */
/* For dl_iterate_phdr. */
#define _GNU_SOURCE
#include <link.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "php.h"
#include "php_main.h"
#include "zend_alloc_sizes.h"

#include "shim.h"

#define CHUNKS 16
/* Those whose memory stays when PHP gives them back. What a request needs beyond is the kernel's again. */
#define CHUNKS_KEPT 4
/* Files that are read where PHP would map them. */
#define FILES 16
#define FILE_BYTES_READ (512 * 1024)

static struct {
    char *start;
    uint32_t used;
    /* Where libphp's code is. */
    uintptr_t code_start;
    uintptr_t code_end;
} chunks;

static int find_code(struct dl_phdr_info *object, size_t size, void *known)
{
    (void)size;
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
        uintptr_t start = object->dlpi_addr + segment->p_vaddr;
        if (segment->p_type == PT_LOAD && (uintptr_t)known - start < segment->p_memsz) {
            chunks.code_start = start;
            chunks.code_end = start + segment->p_memsz;
            return 1;
        }
    }
    return 0;
}

static void *map(void *address, size_t length, int protection, int flags, int file, off_t offset)
{
    return (void *)syscall(SYS_mmap, address, length, protection, flags, file, offset);
}

void hostel_php_keep_chunks(void)
{
    size_t length = CHUNKS * ZEND_MM_CHUNK_SIZE;
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    if (!dl_iterate_phdr(find_code, (void *)(uintptr_t)php_request_startup)) {
        return;
    }
    /* Two more: chunks begin where a chunk may, and what is over stays closed around them, so that no chunk grows into what lies beside it. */
    char *room = map(NULL, length + 2 * ZEND_MM_CHUNK_SIZE, PROT_NONE, flags, -1, 0);
    if (room == MAP_FAILED) {
        return;
    }
    char *first = (char *)(((uintptr_t)room / ZEND_MM_CHUNK_SIZE + 1) * ZEND_MM_CHUNK_SIZE);
    if (mprotect(first, length, PROT_READ | PROT_WRITE) == 0) {
        chunks.start = first;
    }
}

void hostel_php_free_chunks(uintptr_t *start, uintptr_t *end)
{
    /* PHP may hold one back for later, and remembers in it where the next one is. */
    size_t first = chunks.used ? 32 - (size_t)__builtin_clz(chunks.used) : 0;
    *start = *end = 0;
    if (chunks.start) {
        *start = (uintptr_t)chunks.start + first * ZEND_MM_CHUNK_SIZE;
        *end = (uintptr_t)chunks.start + CHUNKS * ZEND_MM_CHUNK_SIZE;
    }
}

void hostel_php_give_chunks_back(void)
{
    for (uint32_t number = CHUNKS_KEPT; chunks.start && number < CHUNKS; number++) {
        if (chunks.used & 1u << number) {
            madvise(chunks.start + number * (size_t)ZEND_MM_CHUNK_SIZE, ZEND_MM_CHUNK_SIZE, MADV_DONTNEED);
        }
    }
}

/* One that is free, or NULL. */
static void *take(void)
{
    uint32_t free = ~chunks.used & ((1u << CHUNKS) - 1);
    if (!free) {
        return NULL;
    }
    int number = __builtin_ctz(free);
    char *chunk = chunks.start + (size_t)number * ZEND_MM_CHUNK_SIZE;
    chunks.used |= 1u << number;
    memset(chunk, 0, ZEND_MM_FIRST_PAGE * ZEND_MM_PAGE_SIZE);
    return chunk;
}

static int is_chunk(void *address, size_t length, int protection, int flags)
{
    return !address && length == ZEND_MM_CHUNK_SIZE && protection == (PROT_READ | PROT_WRITE)
           && flags == (MAP_PRIVATE | MAP_ANONYMOUS);
}

/* PHP maps files that it reads as a whole or copies, and those of time zones. To read a small one costs less than to look at everything afterwards. */
static void *files[FILES];

static void *read_file(size_t length, int file, off_t offset)
{
    size_t room = (length + ZEND_MM_PAGE_SIZE - 1) / ZEND_MM_PAGE_SIZE * ZEND_MM_PAGE_SIZE;
    size_t number = 0, done = 0;
    while (number < FILES && files[number]) {
        number++;
    }
    char *bytes = number < FILES ? aligned_alloc(ZEND_MM_PAGE_SIZE, room) : NULL;
    while (bytes && done < length) {
        ssize_t count = pread(file, bytes + done, length - done, offset + (off_t)done);
        if (count <= 0) {
            free(bytes);
            return NULL;
        }
        done += (size_t)count;
    }
    if (bytes) {
        memset(bytes + done, 0, room - done);
        files[number] = bytes;
    }
    return bytes;
}

static int is_small_file(void *address, size_t length, int protection, int flags)
{
    return !address && length > 0 && length <= FILE_BYTES_READ && protection == PROT_READ && flags == MAP_SHARED;
}

void *mmap(void *address, size_t length, int protection, int flags, int file, off_t offset)
{
    uintptr_t caller = (uintptr_t)__builtin_return_address(0);
    if (chunks.start && caller >= chunks.code_start && caller < chunks.code_end) {
        void *kept = NULL;
        if (is_chunk(address, length, protection, flags)) {
            kept = take();
        } else if (is_small_file(address, length, protection, flags)) {
            kept = read_file(length, file, offset);
        }
        if (kept) {
            return kept;
        }
    }
    return map(address, length, protection, flags, file, offset);
}

int munmap(void *address, size_t length)
{
    uintptr_t offset = (uintptr_t)address - (uintptr_t)chunks.start;
    for (size_t number = 0; address && number < FILES; number++) {
        if (files[number] == address) {
            free(address);
            files[number] = NULL;
            return 0;
        }
    }
    if (!chunks.start || offset >= CHUNKS * ZEND_MM_CHUNK_SIZE) {
        return (int)syscall(SYS_munmap, address, length);
    }
    /* The end of a large block that became smaller stays with it. */
    if (offset % ZEND_MM_CHUNK_SIZE == 0) {
        size_t number = offset / ZEND_MM_CHUNK_SIZE;
        chunks.used &= ~(1u << number);
        if (number >= CHUNKS_KEPT) {
            madvise(address, ZEND_MM_CHUNK_SIZE, MADV_DONTNEED);
        }
    }
    return 0;
}
