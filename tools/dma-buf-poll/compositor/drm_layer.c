// SPDX-License-Identifier: GPL-2.0
/*
 * A Vulkan layer that says of every device that it is virtio-gpu's DRM node.
 *
 * wlroots 0.18 wants VK_EXT_physical_device_drm, by which it finds the Vulkan device
 * of the DRM node it allocates buffers on. Mesa's lavapipe, the one Vulkan device that
 * the guest has, belongs to no node, but can import such buffers: it maps them.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <drm/drm.h>
#include <vulkan/vk_layer.h>
#include <vulkan/vulkan.h>

static PFN_vkGetInstanceProcAddr next_proc;
static VkInstance the_instance;

#define NEXT(name) ((PFN_##name)next_proc(the_instance, #name))

static VkResult create_instance(const VkInstanceCreateInfo *info,
				const VkAllocationCallbacks *alloc, VkInstance *instance)
{
	VkLayerInstanceCreateInfo *chain = (void *)info->pNext;
	VkResult ret;

	while (chain && (chain->sType != VK_STRUCTURE_TYPE_LOADER_INSTANCE_CREATE_INFO ||
			 chain->function != VK_LAYER_LINK_INFO))
		chain = (void *)chain->pNext;
	if (!chain)
		return VK_ERROR_INITIALIZATION_FAILED;
	next_proc = chain->u.pLayerInfo->pfnNextGetInstanceProcAddr;
	chain->u.pLayerInfo = chain->u.pLayerInfo->pNext;
	ret = ((PFN_vkCreateInstance)next_proc(NULL, "vkCreateInstance"))(info, alloc, instance);
	the_instance = *instance;
	return ret;
}

static VkResult extensions(VkPhysicalDevice device, const char *layer, uint32_t *count,
			   VkExtensionProperties *all)
{
	VkExtensionProperties ours = {
		.extensionName = VK_EXT_PHYSICAL_DEVICE_DRM_EXTENSION_NAME,
		.specVersion = VK_EXT_PHYSICAL_DEVICE_DRM_SPEC_VERSION,
	};
	uint32_t n = all ? *count - !!*count : 0;
	VkResult ret = NEXT(vkEnumerateDeviceExtensionProperties)(device, layer, &n, all);

	if (ret == VK_SUCCESS && all)
		all[n] = ours;
	*count = n + 1;
	return ret;
}

static void properties(VkPhysicalDevice device, VkPhysicalDeviceProperties2 *all)
{
	VkPhysicalDeviceDrmPropertiesEXT *drm;
	struct stat st;

	NEXT(vkGetPhysicalDeviceProperties2)(device, all);
	for (drm = all->pNext; drm; drm = drm->pNext) {
		if (drm->sType != VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRM_PROPERTIES_EXT ||
		    stat(getenv("DRM_LAYER_NODE"), &st))
			continue;
		drm->hasRender = VK_TRUE;
		drm->renderMajor = major(st.st_rdev);
		drm->renderMinor = minor(st.st_rdev);
	}
}

static PFN_vkVoidFunction get_proc(VkInstance instance, const char *name)
{
	if (!strcmp(name, "vkCreateInstance"))
		return (PFN_vkVoidFunction)create_instance;
	if (!strcmp(name, "vkEnumerateDeviceExtensionProperties"))
		return (PFN_vkVoidFunction)extensions;
	if (!strncmp(name, "vkGetPhysicalDeviceProperties2", 30))
		return (PFN_vkVoidFunction)properties;
	return next_proc ? next_proc(instance, name) : NULL;
}

VkResult vkNegotiateLoaderLayerInterfaceVersion(VkNegotiateLayerInterface *negotiate)
{
	negotiate->loaderLayerInterfaceVersion = 2;
	negotiate->pfnGetInstanceProcAddr = get_proc;
	/* nothing of a device's is changed */
	negotiate->pfnGetDeviceProcAddr = NULL;
	negotiate->pfnGetPhysicalDeviceProcAddr = NULL;
	return VK_SUCCESS;
}

/* Preloaded, for libdrm's: lavapipe writes to what it maps, and Mesa exports it read-only. */
int drmPrimeHandleToFD(int fd, uint32_t handle, uint32_t flags, int *prime_fd)
{
	struct drm_prime_handle prime = { .handle = handle, .flags = flags | DRM_RDWR, .fd = -1 };
	int ret = ioctl(fd, DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime);

	*prime_fd = prime.fd;
	return ret;
}
